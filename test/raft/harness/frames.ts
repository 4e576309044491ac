// Entries as the harness proposes and reads them: a separate kind above the core's, whose body is a text.

import { crc32 } from 'node:zlib'
import { encodeChange, encodeLeaderLeases } from '../../../src/raft/configuration.ts'
import {
  BODY_AT,
  ENTRY_CONFIGURATION,
  ENTRY_KINDS_OF_CORE,
  ENTRY_LEADER_LEASES,
  ENTRY_NOOP,
  frameBody,
  newFrame,
  readHeader,
  sealFrame,
  stampFrame,
} from '../../../src/raft/entry.ts'
import {
  asIndex,
  asReplicaId,
  asTerm,
  type ConfigurationChange,
  type Entry,
  type LeaderLeaseSetting,
  type LogIndex,
  type ReplicaId,
  type Term,
} from '../../../src/raft/types.ts'

export const TEXT = ENTRY_KINDS_OF_CORE

export { crc32 }

/** A sealed frame without a leader's stamp. */
export function sealed(kind: number, proposer: ReplicaId, boot: number, seq: number, body: Uint8Array) {
  const frame = newFrame({ kind, version: 1, proposer, boot, seq }, body.length)
  frame.set(body, BODY_AT)
  return sealFrame(frame, crc32)
}

export const textFrame = (proposer: ReplicaId, boot: number, seq: number, text: string): Uint8Array =>
  sealed(TEXT, proposer, boot, seq, Buffer.from(text))

/** An entry that an earlier leader has left in a log. */
export function pastEntry(index: number, term: number, text?: string): Entry {
  const past = asReplicaId('999')
  const frame =
    text === undefined
      ? sealed(ENTRY_NOOP, past, 1, index, new Uint8Array())
      : sealed(TEXT, past, 1, index, Buffer.from(text))
  const entry = { index: asIndex(index), term: asTerm(term), frame }
  stampFrame(frame, entry.term, entry.index, 0)
  return entry
}

/** A change of the configuration that an earlier leader has left in a log. */
export const pastChange = (index: number, term: number, change: ConfigurationChange): Entry =>
  pastOfCore(ENTRY_CONFIGURATION, index, term, encodeChange(change))

/** A setting of leases that an earlier leader has left in a log. */
export const pastLeases = (index: number, term: number, setting: LeaderLeaseSetting): Entry =>
  pastOfCore(ENTRY_LEADER_LEASES, index, term, encodeLeaderLeases(setting))

function pastOfCore(kind: number, index: number, term: number, body: Uint8Array): Entry {
  const frame = sealed(kind, asReplicaId('999'), 1, index, body)
  const entry = { index: asIndex(index), term: asTerm(term), frame }
  stampFrame(frame, entry.term, entry.index, 0)
  return entry
}

/** Entries from `first` on with these terms. */
export const pastEntries = (first: number, terms: readonly number[]): Entry[] =>
  terms.map((term, at) => pastEntry(first + at, term))

/** undefined for the core's own kinds. */
export function textOf(entry: Entry): string | undefined {
  return readHeader(entry.frame).kind === TEXT ? Buffer.from(frameBody(entry.frame)).toString() : undefined
}

/** A short description of an entry, for transcripts and failure messages. */
export function describeEntry(entry: Entry): string {
  const { kind } = readHeader(entry.frame)
  switch (kind) {
    case ENTRY_NOOP:
      return 'noop'
    case ENTRY_CONFIGURATION:
      return 'configuration'
    case ENTRY_LEADER_LEASES:
      return 'leases'
    default:
      return textOf(entry) ?? `kind ${kind}`
  }
}

/** (proposer, boot, seq): the unique name of a proposal. */
export function proposalName(frame: Uint8Array): string {
  const { proposer, boot, seq } = readHeader(frame)
  return `${proposer}/${boot}/${seq}`
}

export const entryName = (index: LogIndex, term: Term): string => `${index}@${term}`
