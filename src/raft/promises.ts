// Messages that are promises. Only a promise waits until the term of its sender is durable, and only its term counts as
// shown by its sender (RAFT-2, RAFT-19). Sender and receiver decide it here, so that they agree.
//
// A promise is what another replica counts on after a crash of the sender: a vote, an acknowledged entry, or that the
// sender leads. All other messages describe the sender as it is now. Their receivers stay correct if the sender forgets
// its term in a crash: it has then voted for nobody in that term, and has acknowledged nothing in it. So a replica with
// a slow disk can forward proposals, request read indexes, and answer heartbeats, while its term is being written.

import { assertNever } from '../bytes/index.ts'
import type { Message } from './types.ts'

export function isPromise(message: Message): boolean {
  switch (message.type) {
    case 'vote-request':
    case 'append':
    case 'append-accepted':
    case 'heartbeat':
    case 'timeout-now':
    case 'snapshot':
      return true
    case 'vote-answer':
      return message.granted
    // Its term is that of an election which may never be.
    case 'pre-vote-request':
    case 'pre-vote-answer':
    // A round of the leader is confirmed by what the sender has not done: it has voted in no newer term.
    case 'heartbeat-answer':
    // The end of a log that matches is verified by the next append.
    case 'append-rejected':
    case 'transfer-request':
    case 'forward':
    // The sender never leads the refused term again, whatever it forgets.
    case 'forward-refused':
    case 'read-index':
    // Only a leader confirms an index, and the term of a leader is durable.
    case 'read-index-answer':
    case 'lost-state':
      return false
    default:
      return assertNever(message)
  }
}
