// One attempt to reach a replica: connect, say who we are, read who answers. It ends once: in a connection, or in a sentence.

import { connect, Socket } from 'node:net'
import type { ReplicaId } from '../../raft/types.ts'
import type { ByteReader } from './bytes.ts'
import { Connection } from './connection.ts'
import type { Context } from './context.ts'
import { FRAME, type Purpose, readRefusal, readWelcome, type Speaker, writeHello } from './handshake.ts'

export interface DialOutcome {
  /** Must call `connection.established` before it returns. */
  reached(connection: Connection, speaker: Speaker): void
  failed(why: string): void
}

/** Starts the attempt; the function returned abandons it without a word. `outcome` is never called before this returns. */
export function dial(
  context: Context,
  address: string,
  wanted: ReplicaId,
  purpose: Purpose,
  outcome: DialOutcome,
): () => void {
  let open = true
  let connection: Connection | undefined
  const end = (then?: () => void): void => {
    if (!open) return
    open = false
    clearTimeout(deadline)
    then?.()
  }
  const fail = (why: string): void =>
    end(() => {
      connection?.close(why)
      socket.destroy()
      outcome.failed(why)
    })
  const deadline = setTimeout(() => fail('the handshake was not answered'), context.limits.handshakeMs)
  const target = parseAddress(address)
  const socket =
    target === undefined ? new Socket().destroy(new Error(`not host:port: ${address}`)) : connect(target)
  socket.once('error', (error) => fail(error.message))
  socket.once('close', () => fail('it was cut'))
  socket.once('connect', () => {
    const dialled = new Connection(socket, context.limits, context.counters, true, {
      frame: (type, body) => answered(dialled, type, body),
      closed: fail,
    })
    connection = dialled
    const attempt = context.nextAttempt()
    dialled.send(FRAME.hello, (out) => writeHello(out, { purpose, wanted, attempt, ...context.speaker() }))
  })

  function answered(dialled: Connection, type: number, body: ByteReader): void {
    if (type === FRAME.refusal) {
      const refusal = dialled.decode(() => readRefusal(body))
      if (refusal === undefined) return
      fail(refusal.sentence)
      if (refusal.stop && refusal.clusterId === context.clusterId) context.events.stop(refusal.sentence)
      return
    }
    if (type !== FRAME.welcome) {
      fail(`an answer of type ${type} to the handshake`)
      return
    }
    const speaker = dialled.decode(() => readWelcome(body))
    if (speaker === undefined) return
    const mistaken = mistake(context, speaker, wanted)
    if (mistaken !== undefined) fail(mistaken)
    else end(() => outcome.reached(dialled, speaker))
  }

  return () =>
    end(() => {
      connection?.close('given up')
      socket.destroy()
    })
}

/** Why whoever answered is not whom we called. */
function mistake(context: Context, speaker: Speaker, wanted: ReplicaId): string | undefined {
  const { clusterId, replicaId } = speaker.greeting
  if (clusterId !== context.clusterId) return `a node of cluster ${clusterId} answered`
  if (replicaId !== wanted) return `replica ${replicaId} answered instead of ${wanted}`
  if (!context.processes.heard(speaker)) return 'an older process of that replica answered'
  return undefined
}

function parseAddress(address: string): { readonly host: string; readonly port: number } | undefined {
  const [, host, port] = /^\[?([^\]]+)\]?:([0-9]{1,5})$/.exec(address) ?? []
  if (host === undefined || Number(port) > 65_535) return undefined
  return { host, port: Number(port) }
}
