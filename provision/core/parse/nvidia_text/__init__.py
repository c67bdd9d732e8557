"""Text of NVIDIA's tools and of tools that report on NVIDIA's GPUs."""
