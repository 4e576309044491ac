// The changes of a key range as they are made.

import { useEffect, useState } from 'preact/hooks'
import { encodeUtf8 } from '../../../../src/bytes/index.ts'
import { PageFrame } from '../../app/page-frame.tsx'
import { href, navigate, route } from '../../app/route.ts'
import { logins } from '../../cluster/credentials.ts'
import { Button } from '../../design/button.tsx'
import { BytesText, plainText } from '../../design/bytes-text.tsx'
import { Empty } from '../../design/empty.tsx'
import { Checkbox, Select, TextField } from '../../design/field.tsx'
import { Notice } from '../../design/notice.tsx'
import { formatClock, formatCount, plural } from '../../design/numbers.ts'
import { keysHref } from '../keys/key-route.ts'
import './live.css'
import { EMPTY_FEED, type FeedChange, type FeedView, feed } from './live-feed.ts'

const CAPS = ['100', '500', '2000'] as const
const ONLY = ['both', 'put', 'delete'] as const

interface Chosen {
  readonly prefix: string
  readonly filter: string
  readonly only: (typeof ONLY)[number]
  readonly prev: boolean
  readonly cap: (typeof CAPS)[number]
}

function readChosen(query: URLSearchParams): Chosen {
  return {
    prefix: query.get('prefix') ?? '',
    filter: query.get('filter') ?? '',
    only: ONLY.find((each) => each === query.get('only')) ?? 'both',
    prev: query.get('prev') === 'true',
    cap: CAPS.find((each) => each === query.get('cap')) ?? '100',
  }
}

const chosenHref = ({ prefix, filter, only, prev, cap }: Chosen): string =>
  href('live', '', {
    prefix: prefix || undefined,
    filter: filter || undefined,
    only: only === 'both' ? undefined : only,
    prev: prev ? 'true' : undefined,
    cap: cap === '100' ? undefined : cap,
  })

export function Page() {
  const chosen = readChosen(route.value.query)
  const { prefix, filter, only, prev, cap } = chosen
  const [view, setView] = useState<FeedView>(EMPTY_FEED)
  const [paused, setPaused] = useState<FeedView>()
  useEffect(() => {
    const ended = new AbortController()
    setView(EMPTY_FEED)
    setPaused(undefined)
    const options = {
      prefix: encodeUtf8(prefix),
      only: only === 'both' ? undefined : only,
      prev,
      cap: Number(cap),
      fits: ({ key }: { readonly key: Uint8Array }) => filter === '' || plainText(key).includes(filter),
    }
    void feed(options, setView, ended.signal)
    return () => ended.abort()
  }, [prefix, filter, only, prev, cap, logins.value])
  const choose = (part: Partial<Chosen>): void =>
    navigate(chosenHref({ ...chosen, ...part }), { replace: true })
  const shown = paused ?? view
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
      <div class="live-choice">
        <TextField
          label="Keys that begin with"
          value={prefix}
          onInput={(text) => choose({ prefix: text })}
          isMono
          placeholder="all keys"
        />
        <TextField
          label="And contain"
          value={filter}
          onInput={(text) => choose({ filter: text })}
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
      {view.notice !== undefined && <Notice kind="warning">{view.notice}</Notice>}
      <Counts view={view} shown={shown} cap={Number(cap)} isPaused={paused !== undefined} />
      <Changes changes={shown.changes.slice(0, Number(cap))} prev={prev} />
    </PageFrame>
  )
}

interface CountsProps {
  readonly view: FeedView
  readonly shown: FeedView
  readonly cap: number
  readonly isPaused: boolean
}

function Counts({ view, shown, cap, isPaused }: CountsProps) {
  const { received, filtered, revision, state } = view
  const isShown = Math.min(shown.changes.length, cap)
  const left = received - filtered - isShown
  return (
    <p class="live-counts" aria-live="off">
      {state === 'open' ? 'Receiving' : state === 'opening' ? 'Opening the watch' : 'Connecting again'}
      {revision !== undefined && `, up to revision ${formatCount(revision)}`}. {plural(received, 'change')}{' '}
      received
      {filtered > 0 && `, ${formatCount(filtered)} filtered out`}
      {left > 0 && `, ${formatCount(left)} ${isPaused ? 'behind the pause or dropped' : 'dropped'}`}.
    </p>
  )
}

function Changes({ changes, prev }: { readonly changes: readonly FeedChange[]; readonly prev: boolean }) {
  if (changes.length === 0)
    return (
      <Empty title="No change yet">
        <p>
          Changes appear here as they are made. Make one: <code>quorate put greeting hello</code>
        </p>
      </Empty>
    )
  return (
    <ol class="live-changes">
      {changes.map(({ number, time, event }) => (
        <li key={number} class="live-change">
          <time class="dim">{formatClock(time)}</time>
          <span class="live-revision">{formatCount(event.revision)}</span>
          <span class={event.type === 'delete' ? 'live-delete' : ''}>{event.type}</span>
          <a
            class="mono"
            href={keysHref({ key: event.key, revision: event.type === 'put' ? event.revision : undefined })}
          >
            <BytesText bytes={event.key} max={200} />
          </a>
          <span class="live-value mono">
            {prev && <Previous event={event} />}
            {event.type === 'put' && <BytesText bytes={event.record.value} max={160} />}
          </span>
        </li>
      ))}
    </ol>
  )
}

function Previous({ event: { prev } }: { readonly event: FeedChange['event'] }) {
  if (prev === undefined || prev === null) return <span class="dim">(nothing) → </span>
  return (
    <span class="dim">
      <BytesText bytes={prev.value} max={80} /> →{' '}
    </span>
  )
}
