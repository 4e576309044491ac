// The changes of a key that the store still has, the newest first, each with what it changed.

import { useState } from 'preact/hooks'
import { asRevision, type KeyRow } from '../../../../src/operations/forms/store.ts'
import { get } from '../../../../src/operations/get.ts'
import { put } from '../../../../src/operations/put.ts'
import { nameChange } from '../../cluster/change.ts'
import { describeError, leaderless, NoAnswerError, RefusedError, run } from '../../cluster/connection.ts'
import { useChange } from '../../cluster/use-change.ts'
import { useRequest } from '../../cluster/use-request.ts'
import { useRevision } from '../../cluster/use-revision.ts'
import { readMessages } from '../../cluster/watch-messages.ts'
import { Button } from '../../design/button.tsx'
import { SafeText } from '../../design/bytes-text.tsx'
import { Confirmation } from '../../design/dialog.tsx'
import { Empty } from '../../design/empty.tsx'
import { Notice } from '../../design/notice.tsx'
import { formatBytes, formatCount } from '../../design/numbers.ts'
import { ChangeTime } from './change-time.tsx'
import { Difference } from './difference.tsx'
import { type KeysPlace, keysHref } from './key-route.ts'

/** A version of the key, or its deletion. */
export interface KeyChange {
  readonly revision: number
  /** undefined: it was deleted. */
  readonly record: KeyRow | undefined
  /** The user who has made the change, if rights were checked. */
  readonly by: string | undefined
  /** By the clock of the node that took it, of `Date.now()`; undefined: the change was made before nodes kept times. */
  readonly timeMs: number | undefined
}

/** The change that a version is. */
const versionOf = (record: KeyRow): KeyChange => ({
  ...{ revision: record.modRevision, record, by: record.by, timeMs: record.timeMs },
})

export interface ChangeHistory {
  /** The newest first. */
  readonly changes: readonly KeyChange[]
  /** Older changes are compacted, or there are more than are kept here. */
  readonly isCut: boolean
}

/** Changes that are kept, and bytes of their values: older ones are dropped. */
const CHANGES_MAX = 500
const BYTES_MAX = 16 << 20
const PAGE = 25
const PROGRESS_MS = 100

interface HistoryProps {
  readonly place: KeysPlace & { readonly key: Uint8Array }
}

export function KeyHistory({ place }: HistoryProps) {
  const { key } = place
  const revision = useRevision()
  const { data, error, isLoading, reload } = useRequest(
    (signal) => readHistory(key, signal),
    [key.join()],
    revision,
  )
  const [max, setMax] = useState(PAGE)
  // The history is read again under an open dialog, which is about what the user saw.
  const [chosen, setChosen] = useState<{ readonly record: KeyRow; readonly newest: KeyRow | undefined }>()
  const problem = error !== undefined && (
    <Notice kind="problem">
      {leaderless.value ? 'The history of a key is read from the leader, and there is none.' : error}
    </Notice>
  )
  if (isLoading || data === undefined) return problem || <p class="dim">Reading the history …</p>
  const { changes, isCut } = data
  if (changes.length === 0)
    return (
      problem || (
        <Empty title="No change is left in the history">
          <p>Older revisions are compacted. How long they are kept is a setting: history_age.</p>
        </Empty>
      )
    )
  return (
    <>
      {problem}
      <ol class="history">
        {changes.slice(0, max).map((each, at) => (
          <HistoryEntry
            key={each.revision}
            change={each}
            before={changes[at + 1]}
            href={keysHref({ ...place, tab: 'value', revision: each.revision })}
            onPutBack={
              at === 0 && each.record !== undefined
                ? undefined
                : (record) => setChosen({ record, newest: changes[0]?.record })
            }
          />
        ))}
      </ol>
      {changes.length > max && (
        <Button kind="quiet" onClick={() => setMax(max + PAGE)}>
          Show older: {formatCount(changes.length - max)} more
        </Button>
      )}
      {isCut && changes.length <= max && <p class="dim">Older changes are compacted, or too many to show.</p>}
      {chosen !== undefined && (
        <PutBack
          record={chosen.record}
          newest={chosen.newest}
          onClose={() => setChosen(undefined)}
          onWritten={reload}
        />
      )}
    </>
  )
}

interface EntryProps {
  readonly change: KeyChange
  readonly before: KeyChange | undefined
  readonly href: string
  readonly onPutBack: ((record: KeyRow) => void) | undefined
}

const NOTHING = new Uint8Array()

function HistoryEntry({ change, before, href, onPutBack }: EntryProps) {
  const { revision, record, by, timeMs } = change
  return (
    <li>
      <header class="history-head">
        <a href={href}>revision {formatCount(revision)}</a>
        {record === undefined ? (
          <strong>deleted</strong>
        ) : (
          <>
            <span>{record.version === 1 ? 'created' : `version ${formatCount(record.version)}`}</span>
            <span class="dim">{formatBytes(record.value.length)}</span>
          </>
        )}
        {by !== undefined && (
          <span class="dim">
            by <SafeText text={by} />
          </span>
        )}
        <ChangeTime timeMs={timeMs} />
        {record !== undefined && onPutBack !== undefined && (
          <Button kind="quiet" onClick={() => onPutBack(record)}>
            Put this version back
          </Button>
        )}
      </header>
      {record !== undefined && (before !== undefined || record.version === 1) && (
        <Difference
          before={before?.record?.value ?? NOTHING}
          after={record.value}
          beforeName={
            before?.record === undefined
              ? 'Before: nothing'
              : `Before: revision ${formatCount(before.revision)}`
          }
          afterName={`Revision ${formatCount(revision)}`}
        />
      )}
    </li>
  )
}

interface PutBackProps {
  readonly record: KeyRow
  /** The newest version that the user saw; undefined: a deletion. */
  readonly newest: KeyRow | undefined
  readonly onClose: () => void
  readonly onWritten: () => void
}

/** Writes the value of an old version again, if the key is unchanged since its history was read. */
function PutBack({ record, newest, onClose, onWritten }: PutBackProps) {
  const change = useChange()
  const confirm = async (): Promise<void> => {
    try {
      await change(put, {
        kind: 'put',
        key: record.key,
        value: record.value,
        condition:
          newest === undefined
            ? { ifMatch: undefined, ifNoneMatch: 'any' }
            : { ifMatch: [newest.modRevision], ifNoneMatch: undefined },
        prev: false,
        lease: newest?.lease === undefined ? undefined : { id: newest.lease },
        idempotency: nameChange(),
      })
    } catch (error) {
      if (error instanceof RefusedError && error.problem.code === 'precondition_failed')
        throw new Error(
          'Nothing was written: the key has changed since you read it. Close this, and look again.',
        )
      throw new Error(describeError(error))
    }
    onWritten()
  }
  return (
    <Confirmation title="Put this version back?" action="Put back" onConfirm={confirm} onClose={onClose}>
      <p>
        The value of revision {formatCount(record.modRevision)} is written as a new version. The present one
        stays in the history.
      </p>
    </Confirmation>
  )
}

/** Reads the changes of the key up to now, with a watch from the first revision that is kept. */
export async function readHistory(key: Uint8Array, signal: AbortSignal): Promise<ChangeHistory> {
  let first = 1
  for (let left = COMPACTIONS_MAX; ; left--) {
    try {
      const oldest = first === 1 ? [] : await readOldest(key, first - 1, signal)
      return await readFrom(key, first, oldest, first > 1, signal)
    } catch (error) {
      const next = error instanceof RefusedError ? findFirstRevision(error) : undefined
      if (next === undefined || next <= first || left === 0) throw error
      first = next
    }
  }
}

/** Limit on the compactions during one reading of a history, which begins again after each. */
const COMPACTIONS_MAX = 5

/** The version that the key had at the oldest revision that can be read, if it had one. */
async function readOldest(key: Uint8Array, revision: number, signal: AbortSignal): Promise<KeyChange[]> {
  const request = { kind: 'get', key, revision: asRevision(revision), time: true, freshness: {} } as const
  const { result } = await run(get, request, { signal })
  return result === undefined ? [] : [versionOf(result)]
}

/** The first revision from which a watch may begin, if that is why it was refused. */
function findFirstRevision({ problem: { code, fields } }: RefusedError): number | undefined {
  const compact = fields.compact_revision
  return code === 'compacted' && typeof compact === 'number' ? compact + 1 : undefined
}

async function readFrom(
  key: Uint8Array,
  from: number,
  oldest: readonly KeyChange[],
  isCompacted: boolean,
  signal: AbortSignal,
): Promise<ChangeHistory> {
  const ended = new AbortController()
  const changes: KeyChange[] = [...oldest]
  let isCut = isCompacted
  let bytes = 0
  let now = Number.POSITIVE_INFINITY
  try {
    const watched = {
      where: { key },
      from: asRevision(from),
      only: undefined,
      prev: false,
      values: true,
      time: true,
    } as const
    const messages = readMessages(
      { ...watched, progressMs: PROGRESS_MS },
      AbortSignal.any([signal, ended.signal]),
    )
    for await (const message of messages) {
      if (message.kind === 'created') {
        now = message.revision
        continue
      }
      for (const event of message.kind === 'events' ? message.events : []) {
        if (event.type === 'put') {
          changes.push(versionOf(event.record))
          bytes += event.record.value.length
        } else {
          const { revision, by, timeMs } = event
          changes.push({ revision, record: undefined, by, timeMs })
        }
      }
      while (changes.length > CHANGES_MAX || bytes > BYTES_MAX) {
        bytes -= changes.shift()?.record?.value.length ?? 0
        isCut = true
      }
      if (message.revision >= now) return { changes: changes.toReversed(), isCut }
    }
    throw new NoAnswerError('the history broke off', 'no')
  } finally {
    ended.abort()
  }
}
