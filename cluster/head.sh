#!/usr/bin/env bash
# Starts PostgreSQL (trials) and the MLflow server on a cluster's head, or leaves them as they run; ray_cluster.yaml
# calls it on every `ray up`. `head.sh stop` ends both; what they hold stays.
#
# They listen on the address at which `ray up` reached this machine, or WORDLENGTH_ADDRESS, and nowhere else. Logins come
# from the environment of this machine's user, under the names that PostgreSQL's and MLflow's own clients read:
#   PGPASSWORD   MLFLOW_TRACKING_USERNAME   MLFLOW_TRACKING_PASSWORD
set -euo pipefail

place=${WORDLENGTH_SERVICES:-$HOME/.wordlength-services}
trials=$place/postgresql
binaries=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1 || true)
export PATH=$PATH${binaries:+:$binaries}

fail() { echo "head.sh: $*" >&2; exit 1; }

running() { [ -f "$1" ] && kill -0 "$(head -1 "$1")" 2>/dev/null; }

stop() {
    if running "$trials/postmaster.pid"; then pg_ctl --pgdata "$trials" --mode fast stop; fi
    if running "$place/mlflow.pid"; then kill -- "-$(cat "$place/mlflow.pid")"; fi
}

start_postgresql() {
    running "$trials/postmaster.pid" && return
    if [ ! -f "$trials/PG_VERSION" ]; then
        # Its encoding would else follow the login's language.
        initdb --pgdata "$trials" --encoding UTF8 --locale C.UTF-8 --username wordlength --auth scram-sha-256 \
            --pwfile <(echo "$PGPASSWORD") >"$place/initdb.log"
        # The cluster's machines, with the password.
        echo "host all all samenet scram-sha-256" >>"$trials/pg_hba.conf"
    fi
    pg_ctl --pgdata "$trials" --log "$place/postgresql.log" --wait \
        --options "-c listen_addresses=$address -c unix_socket_directories=$place -c max_connections=200" start >/dev/null
}

start_mlflow() {
    running "$place/mlflow.pid" && return
    for database in mlflow mlflow_users; do
        psql --host "$address" --username wordlength --command "" "$database" 2>/dev/null ||
            createdb --host "$address" --username wordlength "$database"
    done
    # Passwords go by environment variables: a command line can be read by every user of the machine.
    cat >"$place/mlflow_users.ini" <<END
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = postgresql+psycopg://wordlength@$address/mlflow_users
END
    MLFLOW_AUTH_CONFIG_PATH=$place/mlflow_users.ini \
    MLFLOW_AUTH_ADMIN_USERNAME=$MLFLOW_TRACKING_USERNAME MLFLOW_AUTH_ADMIN_PASSWORD=$MLFLOW_TRACKING_PASSWORD \
    MLFLOW_FLASK_SERVER_SECRET_KEY=$(python -c 'import secrets; print(secrets.token_hex())') \
        setsid mlflow server --app-name basic-auth --host "$address" --port 5000 --workers 2 \
        --allowed-hosts "$address:5000,localhost:*" \
        --backend-store-uri "postgresql+psycopg://wordlength@$address/mlflow" \
        --artifacts-destination "$place/artifacts" >"$place/mlflow.log" 2>&1 </dev/null &
    echo $! >"$place/mlflow.pid"
    for _ in $(seq 120); do
        python -c "import urllib.request; urllib.request.urlopen('http://$address:5000/health', timeout=2)" 2>/dev/null && return
        running "$place/mlflow.pid" || break
        sleep 1
    done
    fail "the MLflow server does not answer; see $place/mlflow.log"
}

if [ "${1:-start}" = stop ]; then stop; exit; fi
[ -n "$binaries" ] || command -v initdb >/dev/null || fail "PostgreSQL must be installed (Debian: apt-get install postgresql)"
for name in PGPASSWORD MLFLOW_TRACKING_USERNAME MLFLOW_TRACKING_PASSWORD; do
    [ -n "${!name:-}" ] || fail "$name must be in the environment of ${USER:-this user}, as by a line in ~/.profile"
done
address=${WORDLENGTH_ADDRESS:-$(echo "${SSH_CONNECTION:-}" | cut -d' ' -f3)}
[ -n "$address" ] || fail "WORDLENGTH_ADDRESS must name this machine's address on the cluster's network"
umask 077
mkdir -p "$place"
start_postgresql
start_mlflow
echo "trials: postgresql+psycopg://wordlength@$address/postgres    MLflow: http://$address:5000"
