// The changes of a key, or of keys with a prefix, as they are made.

import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import { encodeUtf8, utf8Text } from '../../../../src/bytes/index.ts'
import {
  type KeyRange,
  nameRange,
  prefixRange,
  rangeAt,
  type Where,
} from '../../../../src/operations/forms/places.ts'
import { asRevision } from '../../../../src/operations/forms/store.ts'
import { logins } from '../../cluster/credentials.ts'
import { readableParts } from '../../cluster/self.ts'
import { Button } from '../../design/button.tsx'
import { plainText } from '../../design/bytes-text.tsx'
import { Empty } from '../../design/empty.tsx'
import { Checkbox, Select, TextField } from '../../design/field.tsx'
import { Notice } from '../../design/notice.tsx'
import { formatCount, plural } from '../../design/numbers.ts'
import { PageFrame } from '../../design/page-frame.tsx'
import { href, navigate, route } from '../../route.ts'
import { operands } from '../keys/commands.ts'
import { RangeWords } from '../keys/range-words.tsx'
import { ReadableNote } from '../keys/readable-note.tsx'
import { findShown, listEntries, type ShownChanges } from './change-buffer.ts'
import { ChangeList } from './change-list.tsx'
import './live.css'
import { EMPTY_FEED, Feed, type FeedState, type FeedView } from './live-feed.ts'

const CAPS = ['100', '500', '2000'] as const
const ONLY = ['both', 'put', 'delete'] as const
/** A watch is opened when the user has typed nothing for this long. */
const TYPING_MS = 250

/** The choice of the user, which is in the URL. */
interface Chosen {
  /** `key`: one key. */
  readonly watched: 'prefix' | 'key'
  readonly text: string
  readonly filter: string
  readonly only: (typeof ONLY)[number]
  readonly prev: boolean
  readonly cap: (typeof CAPS)[number]
}

function readChosen(query: URLSearchParams): Chosen {
  const key = query.get('key')
  return {
    watched: key === null ? 'prefix' : 'key',
    text: key ?? query.get('prefix') ?? '',
    filter: query.get('filter') ?? '',
    only: ONLY.find((each) => each === query.get('only')) ?? 'both',
    prev: query.get('prev') === 'true',
    cap: CAPS.find((each) => each === query.get('cap')) ?? '100',
  }
}

/** `from`: the first revision that a page which begins there needs. */
const chosenHref = ({ watched, text, filter, only, prev, cap }: Chosen, from?: number): string =>
  href('live', '', {
    key: watched === 'key' ? text : undefined,
    prefix: watched === 'prefix' && text !== '' ? text : undefined,
    filter: filter || undefined,
    only: only === 'both' ? undefined : only,
    prev: prev ? 'true' : undefined,
    cap: cap === '100' ? undefined : cap,
    from: from?.toString(),
  })

const readFrom = (query: URLSearchParams) => {
  const from = Number(query.get('from'))
  return Number.isSafeInteger(from) && from > 0 ? asRevision(from) : undefined
}

/** The place to watch, of which the user may read perhaps a part. `part`: the watched one, where it is not all. */
function findWatched({ watched, text }: Chosen): { readonly where: Where; readonly part?: KeyRange } {
  const wanted: Where = watched === 'key' ? { key: encodeUtf8(text) } : prefixRange(encodeUtf8(text))
  const range = rangeAt(wanted)
  const [first] = readableParts(range)
  return first === undefined || first === range ? { where: wanted } : { where: first, part: first }
}

export function Page() {
  const chosen = readChosen(route.value.query)
  const { watched, text, filter, only, prev, cap } = chosen
  const [view, setView] = useState<FeedView>(EMPTY_FEED)
  const [paused, setPaused] = useState<FeedView>()
  const feed = useRef<Feed | undefined>(undefined)
  const openedText = useRef(text)
  // Rights that change elsewhere leave the feed and what it has received.
  const { start, end } = rangeAt(findWatched(chosen).where)
  const watchedName = `${start.join()}-${end?.join()}`
  const fits = useCallback((key: Uint8Array) => filter === '' || plainText(key).includes(filter), [filter])
  // A choice and the feed change together: the page never shows what the feed of the choice before it received.
  useLayoutEffect(() => {
    setView(EMPTY_FEED)
    setPaused(undefined)
    if (watched === 'key' && text === '') return
    const ended = new AbortController()
    const { where } = findWatched(chosen)
    const from = readFrom(route.peek().query)
    const opened = new Feed(
      { where, only: only === 'both' ? undefined : only, prev, from, cap: Number(cap), fits },
      setView,
    )
    const timer = setTimeout(() => void opened.run(ended.signal), text === openedText.current ? 0 : TYPING_MS)
    openedText.current = text
    feed.current = opened
    return () => {
      clearTimeout(timer)
      ended.abort()
    }
  }, [watched, text, only, prev, watchedName])
  useLayoutEffect(() => feed.current?.change({ cap: Number(cap), fits }), [cap, fits])
  useEffect(() => feed.current?.retry(), [logins.value])
  // While the node does not answer, the page may go to another one. There it continues from the same revision.
  const from = view.state === 'resuming' ? feed.current?.next : undefined
  useLayoutEffect(() => {
    if (view.state === 'resuming' || view.state === 'open')
      navigate(chosenHref(readChosen(route.peek().query), from), { replace: true })
  }, [view.state, from])
  const choose = (part: Partial<Chosen>): void =>
    navigate(chosenHref({ ...chosen, ...part }), { replace: true })
  const shown = useMemo(() => findShown(view, paused, Number(cap), fits), [view, paused, cap, fits])
  const entries = useMemo(
    () => listEntries(shown.changes, (paused ?? view).gaps, shown.dropped > 0),
    [shown, paused, view],
  )
  return (
    <PageFrame
      title="Live"
      actions={
        <Button
          pressed={paused !== undefined}
          onClick={() => setPaused(paused === undefined ? view : undefined)}
        >
          {paused === undefined ? 'Pause' : 'Resume'}
        </Button>
      }
    >
      <Choice chosen={chosen} choose={choose} />
      {view.state === 'refused' && (
        <Notice kind="problem">
          The watch has ended: {view.problem}.{' '}
          <Button onClick={() => feed.current?.retry()}>Try again</Button>
        </Notice>
      )}
      {view.state === 'resuming' && view.problem !== undefined && (
        <Notice kind="warning">The watch is not open: {view.problem}.</Notice>
      )}
      <Part chosen={chosen} />
      <section>
        {(watched === 'prefix' || text !== '') && (
          <Counts view={view} shown={shown} isPaused={paused !== undefined} />
        )}
        {entries.length > 0 ? (
          <ChangeList entries={entries} prev={prev} />
        ) : (
          <NoChange view={view} chosen={chosen} />
        )}
      </section>
    </PageFrame>
  )
}

/** A watch has one place. Where the user may read more than one, the others have links. */
function Part({ chosen }: { readonly chosen: Chosen }) {
  const { part } = findWatched(chosen)
  if (part === undefined) return null
  return (
    <div>
      <ReadableNote href={(prefix) => chosenHref({ ...chosen, watched: 'prefix', text: prefix })} />
      <p class="dim">
        This watch receives <RangeWords range={part} />.
      </p>
    </div>
  )
}

interface ChoiceProps {
  readonly chosen: Chosen
  readonly choose: (part: Partial<Chosen>) => void
}

function Choice({ chosen: { watched, text, filter, only, prev, cap }, choose }: ChoiceProps) {
  return (
    <div class="live-choice">
      <Select
        label="Watch"
        value={watched}
        onChange={(value) => choose({ watched: value })}
        options={[
          { value: 'prefix', text: 'a prefix' },
          { value: 'key', text: 'one key' },
        ]}
      />
      <TextField
        label={watched === 'key' ? 'Key' : 'Keys that begin with'}
        value={text}
        onInput={(value) => choose({ text: value })}
        isMono
        placeholder={watched === 'key' ? 'config/limits' : 'all keys'}
      />
      <TextField
        label="And contain"
        value={filter}
        onInput={(value) => choose({ filter: value })}
        isMono
        placeholder="anything"
      />
      <Select
        label="Changes"
        value={only}
        onChange={(value) => choose({ only: value })}
        options={[
          { value: 'both', text: 'puts and deletes' },
          { value: 'put', text: 'puts' },
          { value: 'delete', text: 'deletes' },
        ]}
      />
      <Select
        label="Keep"
        value={cap}
        onChange={(value) => choose({ cap: value })}
        options={CAPS.map((value) => ({ value, text: `the newest ${formatCount(Number(value))}` }))}
      />
      <Checkbox label="Previous values" checked={prev} onChange={(value) => choose({ prev: value })} />
    </div>
  )
}

const STATES: Readonly<Record<FeedState, string>> = {
  opening: 'Opening the watch',
  open: 'Receiving',
  resuming: 'Connecting again',
  refused: 'The watch has ended',
  'logged-out': 'Waiting for a login',
}

interface CountsProps {
  readonly view: FeedView
  readonly shown: ShownChanges
  readonly isPaused: boolean
}

/** A sentence about all changes. Its numbers add up to what was received. */
function Counts({ view: { state, from, revision, received, gapCount }, shown, isPaused }: CountsProps) {
  const { changes, filtered, behind, dropped } = shown
  const parts = [
    `${formatCount(changes.length)} shown`,
    ...(filtered > 0 ? [`${formatCount(filtered)} filtered out`] : []),
    ...(isPaused ? [`${formatCount(behind)} behind the pause`] : []),
    ...(dropped > 0 ? [`${formatCount(dropped)} dropped`] : []),
  ]
  return (
    <p class="live-counts" aria-live="off">
      {STATES[state]}
      {from !== undefined && `, from revision ${formatCount(from)}`}
      {revision !== undefined && `, up to revision ${formatCount(revision)}`}. {plural(received, 'change')}{' '}
      received{received > 0 && `: ${parts.join(', ')}`}
      {gapCount > 0 && `; ${plural(gapCount, 'gap')}`}.
    </p>
  )
}

function NoChange({
  view: { state, received },
  chosen,
}: {
  readonly view: FeedView
  readonly chosen: Chosen
}) {
  const { watched, text, filter } = chosen
  if (watched === 'key' && text === '')
    return (
      <Empty title="Which key?">
        <p>Type the whole key. To watch more than one, choose a prefix above.</p>
      </Empty>
    )
  if (received > 0)
    return (
      <Empty title="No change fits">
        <p>
          None of the changes that were received and kept has <code>{filter}</code> in its key.
        </p>
      </Empty>
    )
  if (state !== 'open') return null
  const { part } = findWatched(chosen)
  const named = part && nameRange(part)
  const begin = (named && 'prefix' in named ? utf8Text(named.prefix) : undefined) ?? text
  const key = watched === 'key' ? text : `${begin}${filter || 'greeting'}`
  return (
    <Empty title="No change yet">
      <p>
        Changes appear here as they are made. Make one: <code>quorate put {operands(key, 'hello')}</code>
      </p>
    </Empty>
  )
}
