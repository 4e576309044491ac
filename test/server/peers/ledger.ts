// The promises of the links to the core about each replica, checked on every event of one process.

import { expect } from 'vitest'
import type { Message } from '../../../src/raft/types.ts'
import type { Greeting } from '../../../src/server/node/network.ts'

interface Event {
  readonly kind: string
  readonly greeting?: Greeting
  readonly message?: Message
  /** Whose connection broke. */
  readonly what?: string
}

export class Ledger {
  readonly #node: { readonly events: readonly Event[] }
  readonly #connected = new Set<string>()
  readonly #heard = new Map<string, { boot: number; term: number; round: number }>()
  #at = 0

  constructor(node: { readonly events: readonly Event[] }) {
    this.#node = node
  }

  /** The configuration of the node has this peer no more: the end of its link is not reported. */
  remove(id: string): void {
    this.check()
    this.#connected.delete(id)
  }

  /** Checks the events since the last call. A heartbeat names the boot counter of its sender as its commit index. */
  check(): void {
    for (const { kind, greeting, message, what = '' } of this.#node.events.slice(this.#at)) {
      this.#at++
      if (greeting !== undefined) this.#connects(greeting)
      else if (message !== undefined) this.#hears(message)
      else if (kind === 'disconnected') expect(this.#connected.delete(what)).toBe(true)
      else expect(kind).not.toBe('stop')
    }
  }

  #connects({ replicaId, boot, term }: Greeting): void {
    const before = this.#heard.get(replicaId) ?? { boot: 0, term: 0, round: 0 }
    expect(this.#connected.has(replicaId)).toBe(false)
    expect(boot).toBeGreaterThanOrEqual(before.boot)
    // Never behind the replica's own messages: otherwise a healthy peer would be accused of lost state.
    expect(term).toBeGreaterThanOrEqual(before.term)
    this.#connected.add(replicaId)
    this.#heard.set(replicaId, boot === before.boot ? before : { boot, term, round: 0 })
  }

  #hears(message: Message): void {
    const before = this.#heard.get(message.from)
    if (message.type !== 'heartbeat' || before === undefined) throw new Error('a message before connected')
    // Messages arrive while the link is connected, so that a reply reaches the peer, or breaks with the link.
    expect([this.#connected.has(message.from), message.commit]).toEqual([true, before.boot])
    expect(message.round).toBeGreaterThan(before.round)
    this.#heard.set(message.from, {
      ...{ boot: before.boot, round: message.round },
      term: Math.max(before.term, message.term),
    })
  }
}
