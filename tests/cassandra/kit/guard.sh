# sh guard.sh FOLDER COMMAND...: runs a node for as long as somebody wants it, and says its number.
#
# Standard input is a pipe that the starter holds open. Once it closes, however the starter ended,
# the node is killed and its folder goes. A node that ends otherwise leaves its folder as it is.
trap '' INT HUP
home=$1
shift
exec 3<&0
"$@" </dev/null 3<&- >>"$home/out.log" 2>&1 &
node=$!
unwanted=
trap 'unwanted=yes; kill -KILL $node' TERM
trap '' PIPE
(cat <&3; kill -TERM $$) >/dev/null 2>&1 &
watch=$!
echo $node
wait $node
if [ -z "$unwanted" ]; then
    kill $watch
    exit
fi
wait $node
rm -rf "$home"
rmdir "$(dirname "$home")"
