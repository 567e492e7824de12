# Usage: server.sh NODE_RED FLOWS PORT
mkdir home
cp "$2" home/flows.json
cat >home/settings.js <<END
module.exports = { uiHost: '127.0.0.1', uiPort: $3, flowFile: 'flows.json', editorTheme: { tours: false },
    telemetry: { enabled: false, updateNotification: false } };
END
exec node "$1" --userDir home
