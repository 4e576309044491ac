// One attempt to reach a replica: connect, introduce this process, read the answer. It ends with a wire or with a
// reason.

import type { ReplicaId } from '../../raft/types.ts'
import { type Context, misidentity } from './context.ts'
import type { Frame, PeerProcess, Purpose, Wire } from './wires.ts'

interface DialOutcome {
  /** Must call `wire.established` before it returns. */
  reached(wire: Wire, speaker: PeerProcess): void
  /** `isRefused`: a process answered that is not the member, or does not accept the certificate of this node. */
  failed(why: string, isRefused: boolean): void
}

/**
 * Starts the attempt. The returned function abandons it without calling `outcome`. `outcome` is never called before
 * this returns.
 */
export function dial(
  context: Context,
  address: string,
  target: ReplicaId,
  purpose: Purpose,
  outcome: DialOutcome,
): () => void {
  const { clock, wires, limits } = context
  let open = true
  let wire: Wire | undefined
  const end = (then: () => void): void => {
    if (!open) return
    open = false
    deadline.cancel()
    then()
  }
  const cut = (why: string): void => {
    abandon()
    wire?.close(why)
  }
  const fail = (why: string, isRefused = false): void =>
    end(() => {
      cut(why)
      outcome.failed(why, isRefused)
    })
  const deadline = clock.after(limits.handshakeMs, () => fail('the handshake was not answered'))
  const abandon = wires.dial(address, {
    connected(dialled) {
      wire = dialled
      const attempt = context.nextAttempt()
      dialled.send({ type: 'hello', purpose, target, attempt, ...context.speaker() })
      return { frame: (frame) => answered(dialled, frame), closed: (why) => fail(why) }
    },
    failed: fail,
  })

  function answered(dialled: Wire, frame: Frame): void {
    if (frame.type === 'refusal') {
      // Only the replica that was called may end this process.
      const stops = frame.stop && frame.clusterId === context.clusterId
      const isMember = misidentity(context, dialled, target) === undefined
      fail(frame.sentence)
      if (stops && isMember) context.events.stop(frame.sentence)
      return
    }
    if (frame.type !== 'welcome') {
      fail(`an answer of type ${frame.type} to the handshake`)
      return
    }
    const misnamed = misidentity(context, dialled, target)
    const mistaken = misnamed ?? mistake(context, frame, target)
    if (mistaken !== undefined) fail(mistaken, misnamed !== undefined)
    else end(() => outcome.reached(dialled, frame))
  }

  return () => end(() => cut('given up'))
}

/** Why the process that answered is not the one that was called; undefined when it is. */
function mistake(
  { clusterId, processes }: Context,
  speaker: PeerProcess,
  target: ReplicaId,
): string | undefined {
  const { greeting } = speaker
  if (greeting.clusterId !== clusterId) return `a node of cluster ${greeting.clusterId} answered`
  if (greeting.replicaId !== target) return `replica ${greeting.replicaId} answered instead of ${target}`
  const objection = processes.objection(speaker)
  if (objection !== undefined) return objection.refuse
  processes.greeted(speaker)
  return undefined
}
