// The control channel between `kv cluster …` and a supervisor: lines of JSON over TCP on loopback. The command sends a
// challenge, and the supervisor identifies itself. A request needs the token of cluster.json (0600), so a web page that
// reaches the port cannot send one. Commands never send a signal: the pid in a file may belong to another process by
// now.

import { randomBytes } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import {
  type ControlReply,
  ControlReplyDocument,
  type ControlRequest,
  ControlRequestDocument,
} from '../../operations/documents/supervisor.ts'
import { DisagreementError, isObject, tryParseJson } from '../../operations/forms/decode.ts'
import { version } from '../../system/version.ts'
import { HOST, parsePort } from '../addresses.ts'
import {
  type Challenge,
  computeProof,
  failed,
  type Identification,
  isSameToken,
} from '../cluster/control-protocol.ts'
import type { ControlAddress } from '../directory/cluster-file.ts'
import { asFailure, Failure } from '../failure.ts'
import { processExists } from '../processes.ts'
import { PROGRAM } from '../program-name.ts'
import { UnidentifiedConnections } from '../unidentified-connections.ts'

const LINE_CHARS_MAX = 64 * 1024
/** Limit on connections that have not sent a command. Beyond it, the oldest of them ends. */
const UNIDENTIFIED_MAX = 64
const CHALLENGE_BYTES = 16
/** Time for a client to send its command. */
const REQUEST_TIMEOUT_MS = 5_000
/** Time for a supervisor to identify itself. One that needs longer is stuck or paused. */
const PROBE_TIMEOUT_MS = 3_000

export type ControlHandler = (request: ControlRequest) => Promise<ControlReply>

export interface SupervisorSocket {
  /** Address of the socket, as in `ControlAddress`. */
  readonly control: string
  /** Accepts no more commands. */
  close(): void
}

export async function listenForCommands(
  dataDir: string,
  token: string,
  handle: ControlHandler,
): Promise<SupervisorSocket> {
  const directory = realpathSync(dataDir)
  const unidentified = new UnidentifiedConnections(UNIDENTIFIED_MAX)
  const server = createServer(async (socket) => {
    // A client that connects and sends nothing must not keep the process alive.
    socket.unref().on('error', () => {})
    unidentified.add(socket)
    const timer = setTimeout(() => socket.destroy(), REQUEST_TIMEOUT_MS).unref()
    const first = tryParseJson((await readLine(socket)) ?? '')
    if (!isObject(first) || typeof first.challenge !== 'string') return socket.destroy()
    const proof = computeProof(token, first.challenge)
    socket.write(`${JSON.stringify({ proof, data_dir: directory } satisfies Identification)}\n`)
    const message = tryParseJson((await readLine(socket)) ?? '')
    clearTimeout(timer)
    if (!isObject(message) || !isSameToken(String(message.token), token)) return socket.destroy()
    unidentified.identify(socket)
    const reply = await replyTo(message.request, handle)
    return socket.end(`${JSON.stringify(ControlReplyDocument.encode(reply))}\n`)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, HOST, resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the control socket has no port')
  return { control: `tcp://${HOST}:${address.port}`, close: () => server.close() }
}

/** The sender knows the token, so it is a command of this program, perhaps of another version. */
async function replyTo(json: unknown, handle: ControlHandler): Promise<ControlReply> {
  try {
    return await handle(ControlRequestDocument.decode(json, ''))
  } catch (error) {
    if (!(error instanceof DisagreementError)) return failed(1, asFailure(error).message)
    return failed(
      1,
      `the supervisor runs version ${version()}, which does not know this request (${error.message}); ${RESTART}`,
    )
  }
}

const RESTART = `run ${PROGRAM} cluster stop, and start the cluster again`

/**
 * Whether the supervisor that listens at `address` knows the token and runs the cluster in `dataDir`. Throws when a
 * process listens there and does not answer.
 */
export async function probeSupervisor(address: ControlAddress, dataDir: string): Promise<boolean> {
  const { pid, control } = address
  const { socket, proof } = dial(address)
  const timer = setTimeout(() => socket.destroy(new Error('timeout')), PROBE_TIMEOUT_MS)
  const line = await readLine(socket)
  clearTimeout(timer)
  const isSilent = socket.errored?.message === 'timeout'
  socket.destroy()
  if (isSilent && processExists(pid))
    throw new Failure(
      7,
      `the process at ${control} does not answer; if process ${pid} is the paused supervisor of this cluster, continue it with kill -CONT ${pid}`,
    )
  const answer = tryParseJson(line ?? '')
  return isObject(answer) && answer.proof === proof && answer.data_dir === realpathSync(dataDir)
}

/** Sends a request to a supervisor that has identified itself. */
export async function sendCommand(address: ControlAddress, request: ControlRequest): Promise<ControlReply> {
  const { socket, proof } = dial(address)
  const identification = tryParseJson((await readLine(socket)) ?? '')
  if (isObject(identification) && identification.proof === proof) {
    const line = { token: address.token, request: ControlRequestDocument.encode(request) }
    socket.write(`${JSON.stringify(line)}\n`)
    const reply = tryParseJson((await readLine(socket)) ?? '')
    if (isObject(reply)) return readReply(reply)
  }
  return { ...failed(1, 'the supervisor ended before it answered'), supervisor: 'ended' }
}

function readReply(json: unknown): ControlReply {
  try {
    return ControlReplyDocument.decode(json, '')
  } catch (error) {
    if (!(error instanceof DisagreementError)) throw error
    return failed(
      1,
      `the supervisor is of another version: its reply cannot be read (${error.message}); ${RESTART}`,
    )
  }
}

/** Sends a challenge. `proof`: that of a supervisor with the token. */
function dial({ control, token }: ControlAddress): { readonly socket: Socket; readonly proof: string } {
  const socket = connect(parsePort(control), HOST).on('error', () => {})
  const challenge = randomBytes(CHALLENGE_BYTES).toString('hex')
  socket.write(`${JSON.stringify({ challenge } satisfies Challenge)}\n`)
  return { socket, proof: computeProof(token, challenge) }
}

/** Reads one line; undefined when the connection ends before, or the line is too long. */
function readLine(socket: Socket): Promise<string | undefined> {
  return new Promise((resolve) => {
    let text = ''
    const end = (line?: string): void => {
      socket.off('data', read).off('close', onClose).pause()
      resolve(line)
    }
    const onClose = (): void => end()
    const read = (chunk: string): void => {
      text += chunk
      if (text.includes('\n')) end(text.slice(0, text.indexOf('\n')))
      else if (text.length > LINE_CHARS_MAX) end()
    }
    socket.setEncoding('utf8').on('data', read).on('close', onClose).resume()
  })
}
