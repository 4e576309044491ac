// History of the store: how far it goes back, and its compaction.

import { useState } from 'preact/hooks'
import { compact } from '../../../../src/operations/compact.ts'
import { isWholeNumber } from '../../../../src/operations/forms/decode.ts'
import { asRevision } from '../../../../src/operations/forms/store.ts'
import { get } from '../../../../src/operations/get.ts'
import { nameChange } from '../../cluster/change.ts'
import { newest } from '../../cluster/cluster-view.ts'
import { needsLogin, RefusedError, run } from '../../cluster/connection.ts'
import { pageFreshness } from '../../cluster/freshness.ts'
import { useChange } from '../../cluster/use-change.ts'
import { useRequest } from '../../cluster/use-request.ts'
import { Button } from '../../design/button.tsx'
import { Confirmation } from '../../design/dialog.tsx'
import { TextField } from '../../design/field.tsx'
import { Figure, Figures } from '../../design/figure.tsx'
import { Notice } from '../../design/notice.tsx'
import { formatCount, plural } from '../../design/numbers.ts'
import type { TabProps } from './admin-right.ts'
import { failedChange, OutcomeLine } from './outcome.tsx'
import { parseQuantity } from './quantity.ts'

export function HistoryTab({ mayChange }: TabProps) {
  const [isOpen, setOpen] = useState(false)
  const [outcome, setOutcome] = useState<string>()
  const { data: oldest, error, reload } = useRequest(readOldestRevision, [])
  const last = newest.value?.revision
  const kept = last === undefined || oldest === undefined ? undefined : Math.max(0, last - oldest + 1)
  return (
    <section class="operation">
      <header class="operation-head">
        <p>
          The store can be read as it was at any revision that is kept. Keys keep their newest values,
          whatever is compacted. The <a href="#/operation/settings">settings</a> of history compact by
          themselves what is too old or too much.
        </p>
        {mayChange && (
          <Button
            kind="danger"
            disabled={kept !== undefined && kept < 2}
            title={kept !== undefined && kept < 2 ? 'There is no older revision.' : undefined}
            onClick={() => {
              setOutcome(undefined)
              setOpen(true)
            }}
          >
            Compact
          </Button>
        )}
      </header>
      <OutcomeLine text={outcome} />
      {error !== undefined && !needsLogin.value && (
        <Notice kind="warning">The oldest revision cannot be read: {error}.</Notice>
      )}
      <Figures>
        <Figure label="Oldest revision kept" value={oldest === undefined ? undefined : formatCount(oldest)} />
        <Figure label="Newest revision" value={last === undefined ? undefined : formatCount(last)} />
        <Figure
          label="Revisions that can be read"
          value={kept === undefined ? undefined : formatCount(kept)}
        />
      </Figures>
      {isOpen && (
        <Compaction
          oldest={oldest}
          newest={last}
          onClose={() => setOpen(false)}
          onDone={(text) => {
            setOutcome(text)
            reload()
          }}
        />
      )}
    </section>
  )
}

/** A key of one zero byte: a read of it at revision 1 is refused with the oldest revision, or is possible. */
const PROBE = Uint8Array.of(0)

async function readOldestRevision(signal: AbortSignal): Promise<number> {
  try {
    await run(
      get,
      { kind: 'get', key: PROBE, revision: asRevision(1), freshness: pageFreshness() },
      { signal },
    )
    return 1
  } catch (error) {
    const { code, fields } = error instanceof RefusedError ? error.problem : {}
    if (code === 'compacted' && isWholeNumber(fields?.compact_revision)) return fields.compact_revision
    // Nothing has been written yet.
    if (code === 'future_revision') return 1
    throw error
  }
}

interface CompactionProps {
  readonly oldest: number | undefined
  readonly newest: number | undefined
  readonly onClose: () => void
  readonly onDone: (text: string) => void
}

function Compaction({ oldest, newest: last, onClose, onDone }: CompactionProps) {
  const change = useChange()
  const [text, setText] = useState('')
  const revision = parseQuantity(text, 'count')
  const isPossible =
    revision !== undefined && revision > (oldest ?? 0) && revision <= (last ?? Number.MAX_SAFE_INTEGER)
  const confirm = async (): Promise<void> => {
    if (revision === undefined || !isPossible)
      throw new Error('Nothing was compacted: name a revision first.')
    try {
      const { result } = await change(compact, {
        kind: 'compact',
        revision: asRevision(revision),
        idempotency: nameChange(),
      })
      onDone(`The store can be read from revision ${formatCount(result.compactRevision)} on.`)
    } catch (error) {
      throw failedChange(error)
    }
  }
  return (
    <Confirmation
      title="Compact the history?"
      action="Compact"
      typed={isPossible ? `compact ${revision}` : undefined}
      onConfirm={confirm}
      onClose={onClose}
    >
      <TextField
        label="Oldest revision to keep"
        value={text}
        onInput={setText}
        isMono
        isRequired
        hint={`From ${formatCount((oldest ?? 0) + 1)} to ${last === undefined ? 'the newest' : formatCount(last)}.`}
        error={text !== '' && !isPossible ? 'There is no such revision to compact to' : undefined}
      />
      <p>
        {isPossible && oldest !== undefined
          ? `Then ${plural(revision - oldest, 'revision')} can be read no longer, from ${formatCount(oldest)} to ${formatCount(revision - 1)}.`
          : 'Earlier revisions can be read no longer.'}{' '}
        Versions that were replaced before are gone from the history of their keys, and cannot be put back.
      </p>
      <p>
        Watches that still need these changes end, and their clients read the keys anew. It frees disk space,
        and needs the permission admin.
      </p>
    </Confirmation>
  )
}
