// The traces of entries: on each node, which entries in flight belong to a trace, and their open spans.
//
// An entry names its proposal, on every node. So its trace context needs no place in the log or in the messages of the
// core: a node sends it in a frame of its own, just before the message with the proposal or the entry. When that frame
// is lost, a span is missing, and nothing else.

import type { Span, SpanContext } from '@opentelemetry/api'
import {
  type Entry,
  type LogIndex,
  type Message,
  type Output,
  readHeader,
  type Write,
} from '../../raft/index.ts'
import { traceContextFrom, traceHeaders } from '../../tracing/trace-context.ts'
import { endFailed, tracer } from '../../tracing/tracer.ts'
import type { TracedProposal } from './network.ts'
import type { CommandResult } from './result.ts'

/** Limit on the traced entries in flight. Beyond it the oldest is forgotten: its proposal may be in no log. */
export const ENTRY_TRACES_MAX = 1_024
/** Three numbers of 64 bits have 62 characters. A longer name comes from no node. */
const PROPOSAL_CHARS_MAX = 64
const NONE: readonly TracedProposal[] = []

type ProposeCallback = (result: CommandResult) => void

interface EntryTrace {
  readonly proposal: string
  readonly context: SpanContext
  index: LogIndex | undefined
  /** Span from the step that appends the entry until it is durable here. */
  append: Span | undefined
  /** The last write of the core with the entry. */
  write: number
  /** On the leader: until a majority has it. */
  commit: Span | undefined
  apply: Span | undefined
  isApplied: boolean
}

interface EntryTracesOptions {
  /** The name of the node. */
  readonly name: string
  readonly replicaId: string
  readonly boot: number
}

export class EntryTraces {
  readonly #options: EntryTracesOptions
  readonly #traces = new Map<string, EntryTrace>()
  readonly #byIndex = new Map<LogIndex, EntryTrace>()

  constructor(options: EntryTracesOptions) {
    this.#options = options
  }

  /** Whether no entry in flight is traced, as nearly always: then nothing needs to be reported here. */
  get isEmpty(): boolean {
    return this.#traces.size === 0
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Proposals of this node

  /** Starts the span of a change of this node; undefined: it is not recorded. */
  startProposal(parent: SpanContext): Span | undefined {
    return tracer()?.startStep('quorate.propose', this.#attributes, parent)
  }

  /** A proposal was sealed. Its entry belongs to the trace of this span. */
  proposed(seq: number, span: Span): void {
    this.#add(this.#proposal(seq), span.spanContext())
  }

  /** Notes that a proposal is proposed again under another number. */
  renewed(before: number, seq: number): void {
    const trace = this.#traces.get(this.#proposal(before))
    if (trace === undefined) return
    this.#end(trace, 'superseded')
    this.#add(this.#proposal(seq), trace.context)
  }

  /** Notes that the caller of a proposal got an error. The proposal may still be committed. */
  failed(seq: number, problem: string): void {
    this.#end(this.#traces.get(this.#proposal(seq)), problem)
  }

  #proposal(seq: number): string {
    const { replicaId, boot } = this.#options
    return proposalId({ proposer: replicaId, boot, seq })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Messages

  /** The contexts that must precede a message. */
  of(message: Message): readonly TracedProposal[] {
    if (this.isEmpty) return NONE
    const carriers =
      message.type === 'append' ? message.entries : message.type === 'forward' ? message.proposals : []
    return carriers.flatMap(({ frame }) => {
      const trace = this.#of(frame)
      return trace === undefined ? [] : [{ proposal: trace.proposal, ...traceHeaders(trace.context) }]
    })
  }

  /** The next message of a peer has these. */
  received(proposals: readonly TracedProposal[]): void {
    const recording = tracer()
    if (recording === undefined) return
    for (const { proposal, traceparent, tracestate } of proposals) {
      if (proposal.length > PROPOSAL_CHARS_MAX) continue
      const context = traceContextFrom(recording, traceparent, tracestate)
      if (context !== undefined && !this.#traces.has(proposal)) this.#add(proposal, context)
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Entries

  /** The core has taken a step, on a node that leads or not. */
  stepTaken({ write, committed }: Pick<Output, 'write' | 'committed'>, isLeader: boolean): void {
    if (!isLeader) this.#leadershipLost()
    if (write !== undefined) this.#writing(write, isLeader)
    this.#committed(committed)
  }

  /** Entries are being written. `isLeader`: this node has appended them as the leader. */
  #writing({ number, truncateFrom, entries }: Write, isLeader: boolean): void {
    if (truncateFrom !== undefined)
      for (const [index, trace] of this.#byIndex) if (index >= truncateFrom) this.#end(trace, 'superseded')
    for (const { index, term, frame } of entries) {
      const trace = this.#of(frame)
      if (trace === undefined) continue
      const attributes = {
        ...this.#attributes,
        'quorate.role': isLeader ? 'leader' : 'follower',
        'quorate.term': term,
        'quorate.index': index,
      }
      trace.index = index
      trace.write = number
      this.#byIndex.set(index, trace)
      trace.append ??= tracer()?.startStep('quorate.append', attributes, trace.context)
      if (isLeader) trace.commit = tracer()?.startStep('quorate.commit', attributes, trace.context)
    }
  }

  /** All writes up to this one are durable. */
  stored(write: number): void {
    for (const trace of this.#byIndex.values()) {
      if (trace.append === undefined || trace.write > write) continue
      trace.append.end()
      trace.append = undefined
      if (trace.isApplied) this.#forget(trace)
    }
  }

  #committed(entries: readonly Entry[]): void {
    for (const { index, term } of entries) {
      const trace = this.#byIndex.get(index)
      if (trace === undefined) continue
      trace.commit?.end()
      trace.commit = undefined
      const attributes = { ...this.#attributes, 'quorate.term': term, 'quorate.index': index }
      trace.apply = tracer()?.startStep('quorate.apply', attributes, trace.context)
    }
  }

  applied(index: LogIndex, revision: number): void {
    const trace = this.#byIndex.get(index)
    if (trace === undefined) return
    trace.apply?.setAttribute('quorate.revision', revision)
    trace.apply?.end()
    trace.apply = undefined
    trace.isApplied = true
    // A leader commits what a majority has, so its own disk may be the last.
    if (trace.append === undefined) this.#forget(trace)
  }

  /** A snapshot has replaced the entries up to this index. */
  skipped(index: LogIndex): void {
    for (const [at, trace] of this.#byIndex) if (at <= index) this.#end(trace, 'snapshot')
  }

  /** Whether a majority has the entries is decided by another leader. */
  #leadershipLost(): void {
    for (const trace of this.#byIndex.values()) {
      if (trace.commit !== undefined) endFailed(trace.commit, 'leadership_lost')
      trace.commit = undefined
    }
  }

  /** The node ends. */
  endAll(): void {
    for (const trace of [...this.#traces.values()]) this.#end(trace, 'node_ended')
  }

  get #attributes(): { readonly 'quorate.node': string } {
    return { 'quorate.node': this.#options.name }
  }

  #of(frame: Uint8Array): EntryTrace | undefined {
    return this.#traces.get(proposalId(readHeader(frame)))
  }

  #add(proposal: string, context: SpanContext): void {
    const [oldest] = this.#traces.values()
    if (this.#traces.size >= ENTRY_TRACES_MAX) this.#end(oldest, 'forgotten')
    const open = { append: undefined, commit: undefined, apply: undefined, isApplied: false }
    this.#traces.set(proposal, { proposal, context, index: undefined, write: 0, ...open })
  }

  /** Ends the open spans of a trace with an error, and forgets it. */
  #end(trace: EntryTrace | undefined, errorType: string): void {
    if (trace === undefined) return
    for (const span of [trace.append, trace.commit, trace.apply])
      if (span !== undefined) endFailed(span, errorType)
    this.#forget(trace)
  }

  #forget({ proposal, index }: EntryTrace): void {
    this.#traces.delete(proposal)
    if (index !== undefined) this.#byIndex.delete(index)
  }
}

/** The identity of a proposal, the same on all nodes. */
const proposalId = (of: Pick<ReturnType<typeof readHeader>, 'boot' | 'seq'> & { proposer: string }): string =>
  `${of.proposer}/${of.boot}/${of.seq}`

/** Ends the span of a change with its result, before `done` gets it. */
export const endingSpan =
  (span: Span, done: ProposeCallback): ProposeCallback =>
  (result) => {
    if (!result.ok) endFailed(span, result.problem.code)
    else span.end()
    done(result)
  }
