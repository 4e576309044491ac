// The content of a message, in a few words.

import type { Message } from '../../src/raft/index.ts'

export function messageLabel(message: Message): string {
  switch (message.type) {
    case 'append': {
      const { prevIndex, entries } = message
      const last = prevIndex + entries.length
      if (entries.length === 0) return `no entries after ${prevIndex}`
      return entries.length === 1 ? `entry ${last}` : `entries ${prevIndex + 1} to ${last}`
    }
    case 'append-accepted':
      return `up to ${message.index}`
    case 'append-rejected':
      return `not after ${message.index}`
    case 'heartbeat':
      return `commit ${message.commit}`
    case 'vote-answer':
    case 'pre-vote-answer':
      return message.granted ? 'yes' : 'no'
    case 'forward':
      return message.proposals.length === 1 ? 'one request' : `${message.proposals.length} requests`
    case 'read-index-answer':
      return message.index === undefined ? 'refused' : `index ${message.index}`
    default:
      return ''
  }
}
