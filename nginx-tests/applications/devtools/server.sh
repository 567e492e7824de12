# Usage: server.sh PORT
exec chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir=profile \
    --remote-debugging-port="$1" about:blank
