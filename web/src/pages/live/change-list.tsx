// The list of changes. Only the rows in sight are in the document: thousands of rows that change five times a second
// would take all the time of the page. All rows have the same height.

import { Component } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { BytesText } from '../../design/bytes-text.tsx'
import { formatClock, formatCount, formatTime } from '../../design/numbers.ts'
import { keysHref } from '../keys/key-route.ts'
import type { FeedChange, FeedGap } from './change-buffer.ts'

interface ChangeListProps {
  /** The newest first. */
  readonly entries: readonly (FeedChange | FeedGap)[]
  /** Whether rows show the values before. */
  readonly prev: boolean
}

export function ChangeList({ entries, prev }: ChangeListProps) {
  const { list, begin, end, before, after } = useRowsInSight(entries.length)
  return (
    <div>
      <div class="live-change live-head" aria-hidden="true">
        <span>Time</span>
        <span class="live-revision">Revision</span>
        <span>Change</span>
        <span>Key</span>
        <span>{prev ? 'Previous value → value' : 'Value'}</span>
      </div>
      <ol ref={list} style={{ paddingTop: `${before}px`, paddingBottom: `${after}px` }}>
        {entries.slice(begin, end).map((entry, at) => (
          <Row
            key={'number' in entry ? entry.number : `gap ${entry.from}`}
            entry={entry}
            prev={prev}
            place={begin + at + 1}
            count={entries.length}
          />
        ))}
      </ol>
    </div>
  )
}

/** Rows above and below those in sight that are in the document too. */
const ROWS_AROUND = 4
const FIRST_ROWS = 40

/** Finds the rows in sight, and the heights of those that are left out before and after them. */
function useRowsInSight(count: number) {
  const list = useRef<HTMLOListElement>(null)
  const [sight, setSight] = useState({ begin: 0, end: FIRST_ROWS, height: 0 })
  const measure = (): void => {
    const row = list.current?.firstElementChild
    if (!row || !list.current) return
    const { height } = row.getBoundingClientRect()
    const { top } = list.current.getBoundingClientRect()
    const first = Math.max(0, Math.floor(-top / height) - ROWS_AROUND)
    // In steps, so that not each pixel of scrolling draws the list.
    const begin = Math.min(first - (first % ROWS_AROUND), Math.max(0, count - ROWS_AROUND))
    const end = begin + Math.ceil(innerHeight / height) + 3 * ROWS_AROUND
    setSight((old) =>
      old.begin === begin && old.end === end && old.height === height ? old : { begin, end, height },
    )
  }
  useLayoutEffect(measure)
  const latest = useRef(measure)
  latest.current = measure
  useLayoutEffect(() => {
    const listen = (): void => latest.current()
    addEventListener('scroll', listen, { passive: true })
    addEventListener('resize', listen)
    return () => {
      removeEventListener('scroll', listen)
      removeEventListener('resize', listen)
    }
  }, [])
  const { begin, height } = sight
  const end = Math.min(sight.end, count)
  return { list, begin, end, before: begin * height, after: Math.max(0, count - end) * height }
}

interface RowProps {
  readonly entry: FeedChange | FeedGap
  readonly prev: boolean
  readonly place: number
  readonly count: number
}

/** A change is never another one later: its row is drawn once. */
class Row extends Component<RowProps> {
  override shouldComponentUpdate({ entry, prev, place, count }: RowProps): boolean {
    const { props } = this
    return entry !== props.entry || prev !== props.prev || place !== props.place || count !== props.count
  }

  override render({ entry, prev, place, count }: RowProps) {
    return (
      <li class={'number' in entry ? 'live-change' : 'live-gap'} aria-posinset={place} aria-setsize={count}>
        {'number' in entry ? <Change change={entry} prev={prev} /> : <Gap gap={entry} />}
      </li>
    )
  }
}

function Change({ change: { time, event }, prev }: { readonly change: FeedChange; readonly prev: boolean }) {
  const { key, revision, type } = event
  // A watch that resumes receives changes later than they were made.
  const madeAt = (event.type === 'put' ? event.record.timeMs : event.timeMs) ?? time
  return (
    <>
      <time class="dim" title={formatTime(madeAt)}>
        {formatClock(madeAt)}
      </time>
      <span class="live-revision">{formatCount(revision)}</span>
      <span class={type === 'delete' ? 'live-delete' : ''}>{type}</span>
      <a class="mono" href={keysHref({ key, revision: type === 'put' ? revision : undefined })}>
        <BytesText bytes={key} max={200} />
      </a>
      <span class="live-value mono">
        {prev && <Previous event={event} />}
        {event.type === 'put' && <BytesText bytes={event.record.value} max={160} />}
      </span>
    </>
  )
}

function Previous({ event: { type, prev } }: { readonly event: FeedChange['event'] }) {
  return (
    <span class="dim">
      {prev === null ? (
        '(nothing)'
      ) : prev === undefined ? (
        '(left out)'
      ) : (
        <BytesText bytes={prev.value} max={80} />
      )}
      {type === 'put' && ' → '}
    </span>
  )
}

function Gap({ gap: { from, to } }: { readonly gap: FeedGap }) {
  return (
    <>
      Here changes are missing, from revision {formatCount(from)}
      {to === undefined ? ' on' : ` to ${formatCount(to)}`}: they were compacted before this page received
      them.
    </>
  )
}
