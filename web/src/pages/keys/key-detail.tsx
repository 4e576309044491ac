// One key: its record, now or at a revision, and what can be done with it.

import { useState } from 'preact/hooks'
import { asRevision } from '../../../../src/operations/forms/store.ts'
import { type GetResult, get } from '../../../../src/operations/get.ts'
import { RefusedError, run } from '../../cluster/connection.ts'
import { pageFreshness } from '../../cluster/freshness.ts'
import { useRequest } from '../../cluster/use-request.ts'
import { useRevision } from '../../cluster/use-revision.ts'
import { Button } from '../../design/button.tsx'
import { SafeText } from '../../design/bytes-text.tsx'
import { CopyButton } from '../../design/copy-button.tsx'
import { Empty } from '../../design/empty.tsx'
import { NameTitle } from '../../design/name-title.tsx'
import { Notice } from '../../design/notice.tsx'
import { formatBytes, formatCount } from '../../design/numbers.ts'
import { Tabs } from '../../design/tabs.tsx'
import { keyTransactionHref } from '../transaction/key-transaction.ts'
import { ChangeTime } from './change-time.tsx'
import { curlCommand, readCommand } from './commands.ts'
import { KeyDeletion } from './key-deletion.tsx'
import { KeyHistory } from './key-history.tsx'
import { type KeysPlace, keysHref } from './key-route.ts'
import { ValueEditor } from './value-editor.tsx'
import { ValueView } from './value-view.tsx'

type ChosenPlace = KeysPlace & { readonly key: Uint8Array }

export function KeyDetail({ place: given }: { readonly place: ChosenPlace }) {
  // The history is that of the key now, and an old version is put back in place of the present one.
  const place = given.tab === 'history' ? { ...given, revision: undefined } : given
  const { key, revision, tab } = place
  const name = key.join()
  const newest = useRevision()
  const { data, error, isLoading, reload } = useRequest(
    async (signal) => ({ ...(await readRecord(key, revision, signal)), name, revision }),
    [name, revision],
    revision === undefined ? newest : 0,
  )
  // The answer for another key, or for another revision, is not of this place.
  const isOfPlace = data?.name === name && data.revision === revision
  const record = isOfPlace ? data.record : undefined
  return (
    <div class="key-detail" key={name}>
      <header class="key-head">
        <NameTitle bytes={key} />
        {isOfPlace && <Actions place={place} record={record} reload={reload} />}
      </header>
      {revision !== undefined && (
        <Notice kind="note">
          As it was at revision {formatCount(revision)}.{' '}
          <a href={keysHref({ ...place, revision: undefined })}>Show it as it is now</a>
        </Notice>
      )}
      {error !== undefined && <Notice kind="problem">{error}</Notice>}
      <Tabs
        label="What is shown of the key"
        current={tab}
        tabs={[
          { name: 'value', text: 'Value', href: keysHref({ ...place, tab: 'value' }) },
          { name: 'history', text: 'History', href: keysHref({ ...place, tab: 'history' }) },
        ]}
      />
      {tab === 'history' ? (
        <KeyHistory place={place} />
      ) : record !== undefined ? (
        <>
          <Facts record={record} />
          <ValueView value={record.value} />
        </>
      ) : (
        isOfPlace &&
        !isLoading &&
        error === undefined && <Missing place={place} isCompacted={data.isCompacted} />
      )}
    </div>
  )
}

/** Reads the record, now or at a revision, which the store may have compacted. */
async function readRecord(key: Uint8Array, revision: number | undefined, signal: AbortSignal) {
  const asOf = revision === undefined ? undefined : asRevision(revision)
  try {
    const { result } = await run(
      get,
      { kind: 'get', key, revision: asOf, time: true, freshness: pageFreshness() },
      { signal },
    )
    return { record: result, isCompacted: false }
  } catch (error) {
    if (error instanceof RefusedError && error.problem.code === 'compacted')
      return { record: undefined, isCompacted: true }
    throw error
  }
}

interface MissingProps {
  readonly place: ChosenPlace
  readonly isCompacted: boolean
}

function Missing({ place, isCompacted }: MissingProps) {
  const history = <a href={keysHref({ ...place, tab: 'history' })}>history</a>
  if (isCompacted)
    return (
      <Empty title={`Revision ${formatCount(place.revision ?? 0)} is compacted`}>
        <p>
          The store no longer has the values of that time. The {history} of the key begins later. How long
          values are kept is a <a href="#/operation/history">setting</a>.
        </p>
      </Empty>
    )
  return (
    <Empty title={place.revision === undefined ? 'The key does not exist' : 'The key did not exist then'}>
      <p>Its {history} may have earlier versions.</p>
    </Empty>
  )
}

function Facts({ record }: { readonly record: NonNullable<GetResult> }) {
  const { value, version, createRevision, modRevision, lease, by, timeMs } = record
  const facts: readonly (readonly [string, preact.ComponentChild])[] = [
    ['Size', formatBytes(value.length)],
    ['Version', formatCount(version)],
    ['Written at revision', formatCount(modRevision)],
    ['Created at revision', formatCount(createRevision)],
    ['Lease', lease === undefined ? 'none' : <a href={`#/coordination/leases/${lease}`}>{lease}</a>],
    ...(by === undefined ? [] : [['Written by', <SafeText text={by} />] as const]),
    ...(timeMs === undefined ? [] : [['Written', <ChangeTime timeMs={timeMs} />] as const]),
  ]
  return (
    <dl class="facts">
      {facts.map(([name, fact]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{fact}</dd>
        </div>
      ))}
    </dl>
  )
}

interface ActionsProps {
  readonly place: ChosenPlace
  readonly record: GetResult
  readonly reload: () => void
}

function Actions({ place, record, reload }: ActionsProps) {
  // The record is read again under an open dialog, which is about what the user saw.
  const [shown, setShown] = useState<{ readonly what: 'edit' | 'delete'; readonly record: GetResult }>()
  const { key, revision } = place
  const close = (): void => setShown(undefined)
  const command = readCommand(key, revision)
  return (
    <div class="key-actions">
      {command !== undefined && (
        <CopyButton text={command} what="the command that reads it">
          Copy command
        </CopyButton>
      )}
      <CopyButton text={() => curlCommand(key, revision)} what="the request as curl">
        Copy curl
      </CopyButton>
      <CopyButton text={() => location.href} what="the link">
        Copy link
      </CopyButton>
      {revision === undefined && (
        <>
          <a
            class="button button-quiet"
            href={keyTransactionHref(key, record)}
            title="Begins a transaction with this key"
          >
            Use in transaction
          </a>
          <Button onClick={() => setShown({ what: 'edit', record })}>
            {record === undefined ? 'Create' : 'Edit'}
          </Button>
          {record !== undefined && (
            <Button kind="danger" onClick={() => setShown({ what: 'delete', record })}>
              Delete
            </Button>
          )}
        </>
      )}
      {shown?.what === 'edit' && (
        <ValueEditor target={key} record={shown.record} onClose={close} onWritten={reload} />
      )}
      {shown?.what === 'delete' && shown.record !== undefined && (
        <KeyDeletion record={shown.record} onClose={close} onDeleted={reload} />
      )}
    </div>
  )
}
