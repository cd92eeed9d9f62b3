# Sourced by make gcm and by the tests (POSIX sh): the GCM's interpreter, made when it is first asked for.
# GCM_PYTHON names one that has jcm. Else, where Snakemake makes environments of conda, it makes that of envs/gcm.yaml; where
# not, this makes .venv-gcm from the pins of envs/gcm.txt.

gcm_environment() {
    if [ -z "${GCM_PYTHON:-}" ] && [ -z "${SNAKEMAKE_DEPLOYMENT:-}" ]; then
        gcm_prefix=$PWD/.venv-gcm
        gcm_stamp=$(cksum <envs/gcm.txt | cut -d ' ' -f 1)
        if [ "$(cat "$gcm_prefix/environment.stamp" 2>/dev/null)" != "$gcm_stamp" ]; then
            echo "make: creating the environment .venv-gcm (first use, about 1 GB)"
            "${python:-python3}" -m venv --clear "$gcm_prefix" || { echo "make: '${python:-python3} -m venv' failed; its message is above" >&2; return 1; }
            "$gcm_prefix/bin/pip" install --quiet --disable-pip-version-check --no-deps -r envs/gcm.txt || { echo "make: pip could not install envs/gcm.txt; its message is above" >&2; return 1; }
            echo "$gcm_stamp" >"$gcm_prefix/environment.stamp"
        fi
        GCM_PYTHON=$gcm_prefix/bin/python
        export GCM_PYTHON
    fi
}
