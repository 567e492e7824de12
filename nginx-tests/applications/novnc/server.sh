# Usage: server.sh PORT
# An X display that is not seen but by VNC, and websockify with noVNC's page in front of it.
Xvnc ":$(($1 - 2000))" -SecurityTypes None -rfbport -1 -rfbunixpath vnc.sock -geometry 320x240 >xvnc.log 2>&1 &
exec websockify --web /usr/share/novnc --unix-target "$PWD/vnc.sock" "127.0.0.1:$1"
