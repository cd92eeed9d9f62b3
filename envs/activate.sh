# Sourced by the Makefile (POSIX sh): makes the environment on first use, then puts it first in PATH.
# With conda or mamba: .conda from envs/workflow.yaml and .conda-cmor from envs/cmorize.yaml; in runs, Snakemake makes one
# environment per kind of work (--sdm conda). The tests run in .conda itself, which has all the pins.
# Without: .venv from the pins in envs/requirements.txt, and Debian's CMOR, which runs in Debian's own Python.

environment_stamp=$(cat envs/requirements.txt envs/constraints.txt envs/workflow.yaml | cksum | cut -d ' ' -f 1)

can_cmor() { "$1" -c "import ctypes, netCDF4; ctypes.CDLL('libuuid.so.1', ctypes.RTLD_GLOBAL); import cmor" >/dev/null 2>&1; }

# The project itself, editable, so that model and workflow are imported from anywhere by their full names.
install_project() {
    "$1" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . || fail "pip could not install the project; its message is above"
}

fail() { echo "make: $1" >&2; exit 1; }

with_conda() {
    prefix=$PWD/.conda
    if [ "$(cat "$prefix/environment.stamp" 2>/dev/null)" != "$environment_stamp" ]; then
        echo "make: creating the conda environment .conda (first use)"
        "$1" env create --yes --quiet --prefix "$prefix" --file envs/workflow.yaml || fail "conda could not create the environment of envs/workflow.yaml; its message is above"
        install_project "$prefix/bin/python"
        echo "$environment_stamp" >"$prefix/environment.stamp"
    fi
    if [ -z "${CMOR_PYTHON:-}" ] && [ ! -x "$PWD/.conda-cmor/bin/python" ]; then
        "$1" env create --yes --quiet --prefix "$PWD/.conda-cmor" --file envs/cmorize.yaml || fail "conda could not create the environment of envs/cmorize.yaml; its message is above"
    fi
    PATH=$prefix/bin:$PATH
    # Quoted as workflow/launch.py takes it apart: the project's folder may have blanks and quotes in its name.
    quoted=$(printf '%s' "$PWD" | sed "s/'/'\\\\''/g")
    SNAKEMAKE_DEPLOYMENT="--software-deployment-method conda --conda-prefix '$quoted/.conda-rules'"
    CMOR_PYTHON=${CMOR_PYTHON:-$PWD/.conda-cmor/bin/python}
}

# Debian's packages, where this user may install them; apt-get's messages go to the terminal only if they are errors.
install_packages() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    echo "make: installing Debian's $*"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null
}

with_venv() {
    prefix=$PWD/.venv
    if [ "$(cat "$prefix/environment.stamp" 2>/dev/null)" != "$environment_stamp" ]; then
        echo "make: creating the environment .venv (first use, 7 GB)"
        "$1" -c "import ensurepip, venv" 2>/dev/null || install_packages python3-venv || fail "'$1 -m venv' does not work; as root 'apt-get install python3-venv'"
        "$1" -m venv --clear "$prefix" || fail "'$1 -m venv' failed; its message is above"
        # LOCKED=1 takes only files with the hashes of envs/lock.txt, on the kind of machine that it names: the same versions.
        if [ -n "${LOCKED:-}" ]; then
            "$prefix/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r envs/lock.txt || fail "pip could not install envs/lock.txt; its message is above"
        else
            "$prefix/bin/pip" install --quiet --disable-pip-version-check -r envs/requirements.txt -c envs/constraints.txt || fail "pip could not install envs/requirements.txt; its message is above"
        fi
        install_project "$prefix/bin/python"
        echo "$environment_stamp" >"$prefix/environment.stamp"
    fi
    PATH=$prefix/bin:$PATH
    SNAKEMAKE_DEPLOYMENT=
    CMOR_PYTHON=${CMOR_PYTHON:-/usr/bin/python3}
    if ! can_cmor "$CMOR_PYTHON"; then
        install_packages python3-cmor python3-netcdf4 || fail "CMOR is missing: install conda, or as root 'apt-get install python3-cmor python3-netcdf4', or set CMOR_PYTHON to a Python that has cmor and netCDF4"
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
