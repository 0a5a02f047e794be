# Sourced by bootstrap and test-needs: apt_install PACKAGE...
#
# Says what it is about to do; returns 1 where there is no apt-get, or neither root nor sudo.

apt_install() {
    local -a become=()
    if ! command -v apt-get >/dev/null 2>&1; then
        return 1
    fi
    if [[ $(id -u) -ne 0 ]]; then
        command -v sudo >/dev/null 2>&1 || return 1
        become=(sudo)
        # Without a terminal nobody can type a password.
        [[ -t 0 ]] || become+=(-n)
    fi
    printf 'setup: about to run: %sapt-get install %s\n' "${become[*]:+${become[*]} }" "$*" >&2
    if ! "${become[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends "$@" >/dev/null 2>&1; then
        # A fresh machine has no package lists yet.
        "${become[@]}" apt-get update -qq >&2 || return 1
        "${become[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq -y --no-install-recommends "$@" >&2 || return 1
    fi
}
