"""Trains the embedded model and evaluates it. Runs in an interpreter with torch and transformers."""
