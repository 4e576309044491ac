// A node that dies after it has applied a request and before it answers: passes each request on, waits for the answer,
// and cuts the connection. Usage: cutting-relay.mjs PORT NODE_PORT DIR; the directory has the certificates.

import { readFileSync } from 'node:fs'
import { createServer, request } from 'node:https'

const [port, nodePort, dir] = process.argv.slice(2)
const read = (name) => readFileSync(`${dir}/${name}`)
const ca = read('ca.crt')
createServer({ ca, cert: read('n1.crt'), key: read('n1.key') }, (from, to) => {
  const { method, url: path, headers } = from
  const shown = { ca, cert: read('proxy.crt'), key: read('proxy.key'), servername: 'localhost' }
  const out = request({ host: '127.0.0.1', port: nodePort, method, path, headers, ...shown }, (answer) => {
    answer.resume().on('end', () => {
      console.log(`${method} ${path} ${answer.statusCode}`)
      from.socket.destroy()
    })
  })
  out.on('error', () => to.destroy())
  from.pipe(out)
}).listen(Number(port), '127.0.0.1')
