<#
.SYNOPSIS
Installs provision into an environment of its own and applies the profile that fits this machine.

.DESCRIPTION
    ./install.ps1          install, then `provision apply auto` in the current folder
    ./install.ps1 tool     install only
    ./install.ps1 test     set up the development environment in .venv and run every check and test

Needs Python 3.11 or newer, or uv. Needs no administrator and may be run again. PROVISION_PYTHON names the
Python to use. This script has never been run on Windows: its grammar is checked, its behaviour is not.
#>
param([Parameter(Position = 0)][string]$Action = '', [Parameter(ValueFromRemainingArguments)][string[]]$Rest)

$ErrorActionPreference = 'Stop'
$here = $PSScriptRoot
$data = Join-Path ([Environment]::GetFolderPath('LocalApplicationData')) 'provision'

function Stop-WithHint([string]$Message, [string]$Hint) {
    [Console]::Error.WriteLine("error: $Message`n`nhint: $Hint")
    exit 4
}

function Test-RecentPython([string[]]$Command) {
    $program, $arguments = $Command
    if (-not (Get-Command $program -ErrorAction SilentlyContinue)) { return $false }
    & $program @arguments -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>$null
    return $LASTEXITCODE -eq 0
}

function Find-Python {
    $candidates = @(@('python'), @('py', '-3'), @('py', '-3.13'), @('py', '-3.12'), @('py', '-3.11'))
    if ($env:PROVISION_PYTHON) { $candidates = @(, @($env:PROVISION_PYTHON)) + $candidates }
    foreach ($candidate in $candidates) {
        if (Test-RecentPython $candidate) {
            $program, $arguments = $candidate
            return (& $program @arguments -c 'import sys; print(sys.executable)').Trim()
        }
    }
    return $null
}

# A private uv, fetched by pip, which knows the user's mirrors, proxies and certificates.
function Install-PrivateUv([string]$Python) {
    $folder = Join-Path $data 'bootstrap'
    $uv = Join-Path $folder 'Scripts\uv.exe'
    if (-not (Test-Path $uv)) {
        New-Item -ItemType Directory -Force $data | Out-Null
        & $Python -m venv $folder
        & (Join-Path $folder 'Scripts\python.exe') -m pip install --quiet --disable-pip-version-check uv
        if ($LASTEXITCODE -ne 0) { Stop-WithHint 'pip could not fetch uv' "$Python -m pip install uv   # shows why" }
    }
    return $uv
}

# A setting of pip's: its environment variable, else its configuration files.
function Get-PipSetting([string]$Python, [string]$Key) {
    $value = [Environment]::GetEnvironmentVariable('PIP_' + $Key.ToUpper().Replace('-', '_'))
    foreach ($section in 'install', 'global') {
        if (-not $value -and $Python) {
            # Not `pip config get`, which in some versions misses the global file where there is a user's.
            $line = @(& $Python -m pip config list 2>$null) -like "$section.$Key=*" | Select-Object -First 1
            if ($line) { $value = $line.Substring($line.IndexOf('=') + 1).Trim("'").Replace('\n', ' ') }
        }
    }
    if ($value) { return $value.Trim() } else { return '' }
}

# uv reads nothing of pip's configuration, and users behind a mirror rely on it.
function Get-UvEnvironment([string]$Python) {
    $settings = @{}
    $index = Get-PipSetting $Python 'index-url'
    $extra = Get-PipSetting $Python 'extra-index-url'
    $links = Get-PipSetting $Python 'find-links'
    $certificate = Get-PipSetting $Python 'cert'
    if ($index) { $settings['UV_DEFAULT_INDEX'] = $index }
    if ($extra) { $settings['UV_INDEX'] = $extra; $settings['UV_INDEX_STRATEGY'] = 'unsafe-best-match' }
    if ($links) { $settings['UV_FIND_LINKS'] = $links -replace '\s+', ',' }
    if ($certificate) { $settings['SSL_CERT_FILE'] = $certificate }
    return $settings
}

# Runs uv with pip's settings for this one call: `provision` reads pip's configuration itself.
function Invoke-Uv([string]$Uv, [string]$Python, [string[]]$Arguments) {
    $settings = Get-UvEnvironment $Python
    $added = @($settings.Keys | Where-Object { -not (Test-Path "env:$_") })
    foreach ($name in $added) { Set-Item -Path "env:$name" -Value $settings[$name] }
    try {
        & $Uv @Arguments
        if ($LASTEXITCODE -ne 0) {
            Stop-WithHint 'uv failed' ('{0} {1}   # shows why' -f $Uv, ($Arguments -join ' '))
        }
    } finally {
        foreach ($name in $added) { Remove-Item -Path "env:$name" }
    }
}

function Install-Tool([string]$Uv, [string]$Python) {
    $arguments = @('tool', 'install', '--quiet', '--force', '--editable')
    if ($Python) { $arguments += @('--python', $Python) }
    Invoke-Uv $Uv $Python ($arguments + $here)
}

function Invoke-Tests([string]$Uv, [string]$Python) {
    Set-Location $here
    $own = Join-Path $here '.venv\Scripts\python.exe'
    if (-not (Test-Path $own)) {
        $arguments = @('venv', '--quiet')
        if ($Python) { $arguments += @('--python', $Python) }
        Invoke-Uv $Uv $Python ($arguments + '.venv')
    }
    Invoke-Uv $Uv $Python @('pip', 'install', '--quiet', '--python', $own, '--editable', '.', '--group', 'dev')
    $format = @('-m', 'ruff', 'format', '--check', '.')
    foreach ($check in @('-m', 'ruff', 'check', '.'), $format, @('-m', 'mypy'), (@('-m', 'pytest') + $Rest)) {
        & $own @check
        if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
    }
}

$python = Find-Python
$found = Get-Command uv -ErrorAction SilentlyContinue
if ($found) {
    $uv = $found.Source
} elseif ($python) {
    $uv = Install-PrivateUv $python
} else {
    Stop-WithHint 'neither Python 3.11 or newer nor uv was found' 'winget install Python.Python.3.12'
}

switch ($Action) {
    '' {
        Install-Tool $uv $python
        $bin = (& $uv tool dir --bin).Trim()
        $program = Join-Path $bin 'provision.exe'
        & $program apply auto --yes
        $code = $LASTEXITCODE
        if ($code -eq 0) {
            Write-Host ('installed: {0}' -f $program)
        } else {
            Write-Host ('{0} is installed, but apply ended with exit code {1}: see above' -f $program, $code)
        }
        if (($env:PATH -split ';') -contains $bin) {
            Write-Host 'next:      provision detect'
        } else {
            Write-Host ('next:      $env:PATH = "{0};" + $env:PATH; provision detect' -f $bin)
        }
        exit $code
    }
    'tool' { Install-Tool $uv $python }
    'test' { Invoke-Tests $uv $python }
    default {
        [Console]::Error.WriteLine('usage: install.ps1 [tool | test [PYTEST ARGUMENTS]]')
        exit 2
    }
}
