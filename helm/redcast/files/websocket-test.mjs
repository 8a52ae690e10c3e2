// The WebSocket client of `helm test`: ends with 0 when the event has arrived.
const { GATEWAY_URL, CHANNEL, PAYLOAD, TIMEOUT_SECONDS } = process.env;

function end(code, text) {
  console.log(text);
  process.exit(code);
}

const wanted = JSON.stringify(JSON.parse(PAYLOAD));
setTimeout(() => end(1, `nothing came in ${CHANNEL}`), Number(TIMEOUT_SECONDS) * 1000);

const socket = new WebSocket(GATEWAY_URL, 'redcast.v1');
socket.onopen = () => socket.send(JSON.stringify({ type: 'subscribe', channel: CHANNEL }));
socket.onmessage = ({ data }) => {
  console.log(data);
  const frame = JSON.parse(data);
  if (frame.type === 'error') end(1, `the gateway refused ${CHANNEL}`);
  if (frame.type === 'event' && frame.channel === CHANNEL && JSON.stringify(frame.data) === wanted) {
    end(0, `received from ${GATEWAY_URL}`);
  }
};
socket.onerror = () => end(1, `no connection to ${GATEWAY_URL}`);
socket.onclose = ({ code, reason }) => end(1, `closed: ${code} ${reason}`);
