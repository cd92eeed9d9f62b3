# Sourced by the Makefile (POSIX sh): makes the environment on first use, then puts it first in PATH.
# With conda or mamba: .conda from envs/workflow.yaml, and Snakemake makes one environment per kind of work (--sdm conda).
# Without: .venv from the pins in envs/requirements.txt, and Debian's CMOR, which runs in Debian's own Python.

environment_stamp=$(cat envs/requirements.txt envs/constraints.txt envs/workflow.yaml | cksum | cut -d ' ' -f 1)

can_cmor() { "$1" -c "import ctypes, netCDF4; ctypes.CDLL('libuuid.so.1', ctypes.RTLD_GLOBAL); import cmor" >/dev/null 2>&1; }

fail() { echo "make: $1" >&2; exit 1; }

with_conda() {
    prefix=$PWD/.conda
    if [ "$(cat "$prefix/environment.stamp" 2>/dev/null)" != "$environment_stamp" ]; then
        echo "make: creating the conda environment .conda (first use)"
        "$1" env create --yes --quiet --prefix "$prefix" --file envs/workflow.yaml || fail "conda could not create the environment of envs/workflow.yaml; its message is above"
        echo "$environment_stamp" >"$prefix/environment.stamp"
    fi
    PATH=$prefix/bin:$PATH
    SNAKEMAKE_DEPLOYMENT="--software-deployment-method conda"
    CMOR_PYTHON=${CMOR_PYTHON:-python}
}

with_venv() {
    prefix=$PWD/.venv
    if [ "$(cat "$prefix/environment.stamp" 2>/dev/null)" != "$environment_stamp" ]; then
        echo "make: creating the environment .venv (first use, about 6 GB)"
        "$1" -m venv --clear "$prefix" || fail "'$1 -m venv' does not work; install Debian's package python3-venv"
        "$prefix/bin/pip" install --quiet --disable-pip-version-check -r envs/requirements.txt -c envs/constraints.txt || fail "pip could not install envs/requirements.txt; its message is above"
        echo "$environment_stamp" >"$prefix/environment.stamp"
    fi
    PATH=$prefix/bin:$PATH
    SNAKEMAKE_DEPLOYMENT=
    CMOR_PYTHON=${CMOR_PYTHON:-/usr/bin/python3}
    if ! can_cmor "$CMOR_PYTHON"; then
        [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail "CMOR is missing: install conda, or as root 'apt-get install python3-cmor python3-netcdf4', or set CMOR_PYTHON to a Python that has cmor and netCDF4"
        echo "make: installing Debian's python3-cmor"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-cmor python3-netcdf4; } >/dev/null || fail "apt-get could not install python3-cmor and python3-netcdf4; its message is above"
        can_cmor "$CMOR_PYTHON" || fail "'$CMOR_PYTHON' cannot import cmor and netCDF4 although Debian's packages are installed; set CMOR_PYTHON to a Python that can"
    fi
}

conda=$(command -v mamba || command -v conda || true)
python=$(for name in python3.11 python3 python3.12 python3.13; do command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo "$name" && break; done || true)
if [ -n "$conda" ]; then
    with_conda "$conda"
elif [ -n "$python" ]; then
    with_venv "$python"
else
    fail "neither conda nor Python 3.11 or newer is installed; install one of them, on Debian 12 'apt-get install python3 python3-venv'"
fi
export PATH CMOR_PYTHON SNAKEMAKE_DEPLOYMENT
