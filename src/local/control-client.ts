// The side of `kv cluster …` that talks to a supervisor. It never sends a signal: the pid in a file may belong to
// another process by now.

import { http } from '../node-http.ts'
import type { ControlAddress } from './cluster-file.ts'
import { type ControlReply, type ControlRequest, proofOf } from './control-messages.ts'
import { directoryId } from './directory-id.ts'
import { Failure } from './failure.ts'
import { exists } from './processes.ts'
import { PROGRAM } from './program-name.ts'

/** A supervisor that does not identify itself within this time is stuck or stopped. */
const IDENTIFY_LIMIT_MS = 3_000

/**
 * Whether the supervisor that listens there knows the token, and its cluster is the one in `dataDir`. A copy of a
 * directory holds the address of the original's supervisor.
 */
export async function identifies(address: ControlAddress, dataDir: string): Promise<boolean> {
  const answer = await exchange(`${address.control}/`, 'GET', {}, undefined, IDENTIFY_LIMIT_MS)
  if (answer === 'silent' && exists(address.pid)) {
    throw new Failure(
      7,
      `Something listens at ${address.control} but does not answer. If process ${address.pid} is the supervisor of this cluster and is ` +
        `stopped, continue it (kill -CONT ${address.pid}); then try again.`,
    )
  }
  return (
    typeof answer === 'object' &&
    'proof' in answer &&
    answer.proof === proofOf(address.token) &&
    // A supervisor of an older version does not say it.
    (!('directory' in answer) || answer.directory === directoryId(dataDir))
  )
}

/**
 * The answer to `stop` is complete only when the supervisor's process is gone: the supervisor leaves the connection
 * open, and the system closes it.
 */
export async function ask(address: ControlAddress, message: ControlRequest): Promise<ControlReply> {
  const headers = { authorization: `Bearer ${address.token}`, 'content-type': 'application/json' }
  const answer = await exchange(`${address.control}/`, 'POST', headers, JSON.stringify(message), undefined)
  if (isReply(answer)) return answer
  if (answer !== undefined) {
    return {
      ok: false,
      exitCode: 1,
      said: `The supervisor of this cluster was started by another version of quorate, which does not know this. Stop the cluster first (${PROGRAM} cluster stop).`,
    }
  }
  return { ok: false, exitCode: 1, said: 'The supervisor ended before it answered.', ended: true }
}

/**
 * The JSON body of an answer; `silent` when no answer came in time; undefined when the connection failed, or the answer
 * is not JSON.
 */
function exchange(
  url: string,
  method: 'GET' | 'POST',
  headers: Record<string, string>,
  body: string | undefined,
  limitMs: number | undefined,
): Promise<object | 'silent' | undefined> {
  return new Promise((resolve) => {
    const outgoing = http.request(url, { method, headers, agent: false }, (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      // The connection may end with the process that answers. The answer is complete when it is one JSON value.
      incoming.on('error', () => {})
      incoming.on('close', () => resolve(parseObject(Buffer.concat(chunks).toString())))
    })
    outgoing.on('error', () => resolve(undefined))
    if (limitMs !== undefined) {
      const timer = setTimeout(() => {
        resolve('silent')
        outgoing.destroy()
      }, limitMs)
      outgoing.on('close', () => clearTimeout(timer))
    }
    outgoing.end(body)
  })
}

function parseObject(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

function isReply(value: object | 'silent' | undefined): value is ControlReply {
  return typeof value === 'object' && 'ok' in value && 'said' in value
}
