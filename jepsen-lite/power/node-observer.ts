// Records what a node hands to its storage and what leaves it (trace-markers.ts). Each mark is one system call, made
// before the step that it describes.

import { openSync, writeSync } from 'node:fs'
import { decodeRequest } from '../../src/kv/index.ts'
import {
  ENTRY_KINDS_OF_CORE,
  type Entry,
  frameBody,
  type Message,
  majorityCommitted,
  type ReplicaId,
  readHeader,
} from '../../src/raft/index.ts'
import type { Greeting } from '../../src/server/node/network.ts'
import type { SnapshotSource, Storage, StorageBatch } from '../../src/storage/index.ts'
import type { Observer, PeerNode } from './links.ts'
import { entryMark } from './replica.ts'
import type { BatchMark, TraceMark } from './trace-markers.ts'

/**
 * Messages whose term must be durable before they leave, beside a vote that is granted: other replicas count on them
 * after a crash (RAFT-2). Of all others the term may be forgotten. The core has a list of its own.
 */
const PROMISES: ReadonlySet<Message['type']> = new Set<Message['type']>([
  ...(['vote-request', 'append', 'append-accepted'] as const),
  ...(['heartbeat', 'timeout-now', 'snapshot'] as const),
])

export class MarkWriter {
  readonly #file: number

  constructor(path: string) {
    this.#file = openSync(path, 'a')
  }

  add(mark: TraceMark): void {
    writeSync(this.#file, `${JSON.stringify(mark)}\n`)
  }
}

export class NodeObserver implements Observer {
  readonly #marks: MarkWriter
  readonly #node: PeerNode
  readonly #others: () => readonly PeerNode[]
  readonly #stateHashes = new Map<string, bigint>()
  /** The newest entry with each idempotency token. */
  readonly #entries = new Map<string, Entry>()
  #term = 0
  #inFlight: (() => void) | undefined
  /** How many batches truncated the log. */
  truncations = 0

  constructor(marks: MarkWriter, node: PeerNode, others: () => readonly PeerNode[]) {
    this.#marks = marks
    this.#node = node
    this.#others = others
  }

  /** Records everything that this storage gets from now on. */
  watch(storage: Storage): void {
    const write = storage.write.bind(storage)
    storage.write = (batch, done) => {
      this.#marks.add({ kind: 'submitted', batch: this.#batchMark(storage, batch) })
      write(batch, (error) => {
        if (error === undefined) this.#marks.add({ kind: 'stored' })
        done(error)
      })
      this.#inFlight?.()
    }
  }

  /** Calls back right after the next batch was handed to the storage, in the same turn. */
  whenWriting(then: () => void): void {
    this.#inFlight = () => {
      this.#inFlight = undefined
      then()
    }
  }

  #batchMark(storage: Storage, { hardState, writes, compactLogTo }: StorageBatch): BatchMark {
    for (const { entries } of writes) for (const entry of entries) this.#remember(entry)
    if (writes.some(({ truncateFrom }) => truncateFrom !== undefined)) this.truncations++
    return {
      term: hardState.term,
      vote: hardState.vote ?? '',
      commit: hardState.commit,
      writes: writes.map(({ snapshot, truncateFrom, entries }) => ({
        ...(snapshot === undefined
          ? {}
          : {
              snapshot: {
                at: [snapshot.meta.index, snapshot.meta.term],
                keepLog: snapshot.keepLog,
                stateHash: String(this.#stateHashes.get(snapshot.snapshotId)),
              },
            }),
        ...(truncateFrom === undefined ? {} : { truncateFrom }),
        ...(entries[0] === undefined ? {} : { first: entries[0].index, entries: entries.map(entryMark) }),
      })),
      ...(compactLogTo === undefined ? {} : { compactTo: compactLogTo }),
      applied: [storage.applied.index, storage.applied.term],
      stateHash: storage.stateHash.toString(),
    }
  }

  #remember(entry: Entry): void {
    const { kind, version } = readHeader(entry.frame)
    if (kind < ENTRY_KINDS_OF_CORE) return
    const { idempotency } = decodeRequest(kind, version, frameBody(entry.frame))
    if (idempotency !== undefined && 'token' in idempotency) this.#entries.set(idempotency.token, entry)
  }

  sending(message: Message): void {
    if (!PROMISES.has(message.type) && !(message.type === 'vote-answer' && message.granted)) return
    this.#noteSentTerm(message.term)
    const { term } = message
    if (message.type === 'vote-request') this.#marks.add({ kind: 'vote', term, vote: message.from })
    if (message.type === 'vote-answer') this.#marks.add({ kind: 'vote', term, vote: message.to })
    if (message.type === 'append-accepted') this.#marks.add({ kind: 'accepted', index: message.index })
  }

  greeting({ term, lastIndex }: Greeting): void {
    this.#noteSentTerm(term)
    this.#marks.add({ kind: 'accepted', index: lastIndex })
  }

  #noteSentTerm(term: number): void {
    if (term <= this.#term) return
    this.#term = term
    this.#marks.add({ kind: 'term', term })
  }

  snapshotOffered(id: string, meta: SnapshotSource['meta']): void {
    this.#stateHashes.set(id, meta.stateHash)
  }

  /** A client of this node learns that its request is committed. */
  answered(token: string): void {
    const entry = this.#entries.get(token)
    if (entry === undefined || !this.#isNeeded(entry)) return
    const [term, crc] = entryMark(entry)
    this.#marks.add({ kind: 'answered', at: [entry.index, term], crc })
  }

  /** Whether the entry would not be on a majority of disks without the copy of this node. */
  #isNeeded({ index, term }: Entry): boolean {
    const holders = new Set<ReplicaId>()
    for (const { id, storage } of this.#others()) {
      if (storage === undefined) continue
      // A compacted entry is durable in the applied state.
      if (index < storage.log.firstIndex() || storage.log.termAt(index) === term) holders.add(id)
    }
    const { voters, votersOutgoing } = this.#node.running.configuration
    const holds = (id: ReplicaId): number => (holders.has(id) ? 1 : 0)
    return [voters, votersOutgoing].some((half) => majorityCommitted(half, holds) < 1)
  }
}
