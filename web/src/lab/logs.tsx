// The logs as a grid: a row for each node, a column for each index.

import { useEffect, useMemo, useRef } from 'preact/hooks'
import type { MachineView } from '../../../jepsen-lite/lab/view.ts'
import { Mark } from '../design/mark.tsx'
import { leader, nodes } from './lab-state.ts'
import {
  beforeLogText,
  differsFrom,
  ENTRY_STATES,
  ENTRY_TEXTS,
  type EntryState,
  entryAt,
  entryState,
  followersAt,
  IN_STORE,
  shownIndexes,
  termTint,
} from './log-cells.ts'
import './logs.css'
import { roleOf } from './node-states.ts'

export function Logs() {
  const indexes = shownIndexes(nodes.value)
  const last = indexes.at(-1)
  const frame = useRef<HTMLElement>(null)
  // The newest entries are the interesting ones.
  useEffect(() => {
    if (frame.current !== null) frame.current.scrollLeft = frame.current.scrollWidth
  }, [last])
  const columns = indexes.join()
  const leading = leader.value
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls it, where it is wider than the screen. */}
      <section ref={frame} class="logs-frame" tabIndex={0} aria-label="Logs of the nodes">
        <table class="logs">
          <caption class="visually-hidden">A row for each node, a column for each index of the log</caption>
          <thead>
            <tr>
              <th scope="col">
                <span class="visually-hidden">Node</span>
              </th>
              {indexes.map((index) => (
                <th key={index} scope="col">
                  {index}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {nodes.value.map((node) => (
              <LogRows key={node.name} node={node} leading={leading} indexes={indexes} columns={columns} />
            ))}
          </tbody>
        </table>
      </section>
      <p class="logs-legend">
        {ENTRY_STATES.map((state) => (
          <span key={state}>
            <span class={`entry entry-sample entry-${state}`} aria-hidden="true">
              <EntrySign state={state} />
            </span>{' '}
            {ENTRY_TEXTS[state]}
          </span>
        ))}
        <span>
          <span class="entry entry-sample entry-before entry-last" aria-hidden="true" /> {IN_STORE}
        </span>
        <span>
          <span class="entry entry-sample entry-words entry-durable entry-differs" aria-hidden="true">
            <span class="entry-label">k0=a</span>
          </span>{' '}
          {DIFFERS}
        </span>
        {Object.entries(MEANINGS).map(([label, meaning]) => (
          <span key={label}>
            “{label}”{meaning}
          </span>
        ))}
        {leading !== undefined && (
          <span>
            match: {MATCH}. next: {NEXT}.
          </span>
        )}
      </p>
    </>
  )
}

interface LogRowsProps {
  readonly node: MachineView
  readonly leading: MachineView | undefined
  readonly indexes: readonly number[]
  readonly columns: string
}

/** The election timer of a node changes often, its log seldom. */
function LogRows({ node, leading, indexes, columns }: LogRowsProps) {
  const { log, lastIncluded, durable, commit, applied, progress } = node
  const role = roleOf(node)
  return useMemo(
    () => drawRows(node, leading, indexes),
    [log, lastIncluded, durable, commit, applied, progress, role, leading?.log, columns],
  )
}

function drawRows(node: MachineView, leading: MachineView | undefined, indexes: readonly number[]) {
  const { name, role } = node
  const isLeader = role === 'leader' && node.progress.length > 0
  return (
    <>
      <tr class={isLeader ? 'logs-leader' : ''}>
        <th scope="row">
          <Mark of={roleOf(node)} text={null} /> {name}
        </th>
        {indexes.map((index) => (
          <td key={index}>
            <Entry node={node} leading={leading} index={index} />
          </td>
        ))}
      </tr>
      {isLeader && <Progress node={node} what="match" indexes={indexes} />}
      {isLeader && <Progress node={node} what="next" indexes={indexes} />}
    </>
  )
}

interface EntryProps {
  readonly node: MachineView
  readonly leading: MachineView | undefined
  readonly index: number
}

function Entry({ node, leading, index }: EntryProps) {
  const before = beforeLogText(node, index)
  if (before !== undefined) return <BeforeLog node={node} index={index} text={before} />
  const entry = entryAt(node, index)
  if (entry === undefined) return null
  const state = entryState(node, index)
  const text = [entry.change, ENTRY_TEXTS[state], differsFrom(entry, leading) ? DIFFERS : undefined]
    .filter((part) => part !== undefined)
    .join(', ')
  return (
    <span
      class={`entry entry-${state} term-${termTint(entry.term)}${differsFrom(entry, leading) ? ' entry-differs' : ''}`}
      title={`${entry.label}${MEANINGS[entry.label] ?? ''}, term ${entry.term}, ${text}`}
    >
      <span class="entry-term">
        <span class="visually-hidden">term </span>
        {entry.term}
      </span>
      <span class="entry-label">{entry.label}</span>
      <EntrySign state={state} />
      <span class="visually-hidden">{text}</span>
    </span>
  )
}

interface BeforeLogProps extends Pick<EntryProps, 'node' | 'index'> {
  readonly text: string
}

function BeforeLog({ node: { lastIncluded }, index, text }: BeforeLogProps) {
  const isLast = lastIncluded?.index === index
  return (
    <span class={`entry entry-before${isLast ? ' entry-last' : ''}`} title={text}>
      {isLast && (
        <>
          <span class="entry-term">{lastIncluded.term}</span>
          <span class="entry-label">{lastIncluded.label}</span>
        </>
      )}
      <span class="visually-hidden">{text}</span>
    </span>
  )
}

/** Entries that no client has written. */
const MEANINGS: Readonly<Record<string, string>> = {
  'initial state': ': members and settings of a new cluster',
  'new term': ': the empty entry with which a leader begins its term',
}

const DIFFERS = 'differs from the log of the leader of the newest term'

const SIGNS: Readonly<Record<EntryState, string>> = {
  received: 'M3 8h.1M8 8h.1M13 8h.1',
  durable: 'M3 12.5h10',
  committed: 'm3 8.5 3.4 3.5L13 4.5',
  applied: 'm1.5 8.5 3 3.5 6-7.5M8 11l1 1 6-7.5',
}

function EntrySign({ state }: { readonly state: EntryState }) {
  return (
    <svg class="entry-sign" viewBox="0 0 16 16" aria-hidden="true">
      <path d={SIGNS[state]} />
    </svg>
  )
}

const MATCH = 'the last entry that the leader knows to be on the disk of the follower'
const NEXT =
  'the entry that the leader sends the follower next. It grows when entries are sent, before they are ' +
  'acknowledged (pipelining); a rejection lowers it'
const PROGRESS = {
  match: { head: 'match', title: MATCH },
  next: { head: 'next', title: NEXT },
} as const

interface ProgressProps {
  readonly node: MachineView
  readonly what: 'match' | 'next'
  readonly indexes: readonly number[]
}

function Progress({ node, what, indexes }: ProgressProps) {
  return (
    <tr class="logs-progress">
      <th scope="row" title={PROGRESS[what].title}>
        {PROGRESS[what].head}
      </th>
      {indexes.map((index) => (
        <td key={index}>{followersAt(node, what, index).join(' ')}</td>
      ))}
    </tr>
  )
}
