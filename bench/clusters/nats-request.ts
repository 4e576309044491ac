import { connect } from 'node:net'

const TIMEOUT_MS = 5000
const INBOX = 'answer'
const HELLO = { verbose: false, pedantic: false, lang: 'bench', version: '1', protocol: 1 }

/**
 * One request to a server of NATS, on a connection of its own, whose answer is JSON. Rejects when there is none within
 * five seconds, and when it is an error of JetStream.
 */
export async function natsRequest(url: string, subject: string, payload: string): Promise<unknown> {
  const answer = JSON.parse(await exchange(url, subject, payload))
  if (answer.error !== undefined) throw new Error(`${subject}: ${answer.error.description}`)
  return answer
}

function exchange(url: string, subject: string, payload: string): Promise<string> {
  const { hostname: host, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), noDelay: true })
    const fail = (why: string): void => {
      socket.destroy()
      reject(new Error(`${url}, ${subject}: ${why}`))
    }
    socket.setTimeout(TIMEOUT_MS, () => fail('no answer'))
    socket.on('error', ({ message }) => fail(message))
    socket.on('close', () => fail('connection closed'))
    socket.setEncoding('latin1')
    let received = ''
    socket.on('data', (text) => {
      received += text
      const refusal = /^-ERR (.*)\r\n/m.exec(received)?.[1]
      if (refusal !== undefined) fail(refusal)
      const [head = '', size] = /^MSG .* (\d+)\r\n/m.exec(received) ?? []
      const begin = received.indexOf(head) + head.length
      if (size === undefined || received.length < begin + Number(size)) return
      resolve(received.slice(begin, begin + Number(size)))
      socket.destroy()
    })
    const bytes = Buffer.byteLength(payload)
    socket.write(
      `CONNECT ${JSON.stringify(HELLO)}\r\nSUB ${INBOX} 1\r\nPUB ${subject} ${INBOX} ${bytes}\r\n${payload}\r\n`,
    )
  })
}
