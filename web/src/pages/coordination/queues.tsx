// Queues: how many items wait, are held, or have failed; the first ones of each, and what can be done with the failed.

import { useRef, useState } from 'preact/hooks'
import { encodeUtf8, utf8Text } from '../../../../src/bytes/index.ts'
import { describeError, isOutcomeUnknown } from '../../cluster/connection.ts'
import { useChange } from '../../cluster/use-change.ts'
import { useRequest } from '../../cluster/use-request.ts'
import { useRevision } from '../../cluster/use-revision.ts'
import { Button } from '../../design/button.tsx'
import { BytesText, SafeText } from '../../design/bytes-text.tsx'
import { Confirmation } from '../../design/dialog.tsx'
import { Empty } from '../../design/empty.tsx'
import { Figure, Figures } from '../../design/figure.tsx'
import { Mark, type WriteOutcome } from '../../design/mark.tsx'
import { Notice } from '../../design/notice.tsx'
import { formatBytes, formatCount, plural } from '../../design/numbers.ts'
import { Table, type TableColumn } from '../../design/table.tsx'
import { navigate } from '../../route.ts'
import { operands } from '../keys/commands.ts'
import { keysHref } from '../keys/key-route.ts'
import '../keys/keys.css'
import { ValueView } from '../keys/value-view.tsx'
import { failedChange } from '../operation/outcome.tsx'
import { LeaseLink } from './leases.tsx'
import { useLeases } from './leases-known.ts'
import { DetailHead, Example, ForeignKeys, NameListing, NameTable, ShowMore } from './listing.tsx'
import { namePrefix } from './names.ts'
import { type CoordinationPlace, placeHref } from './place.ts'
import {
  countAll,
  deleteFailed,
  type ItemView,
  type Preview,
  putBack,
  QUEUES,
  type QueueCounts,
  type QueuedItem,
  type QueueRow,
  readItem,
  readQueue,
  readQueues,
} from './queue-reads.ts'
import { formatKeyCount } from './reads.ts'
import { TimeLeft } from './time-left.tsx'

const RECIPES = ['queue']

/** Items that can be taken. */
function formatReady({ items, held }: QueueCounts): string {
  return items === undefined || held === undefined
    ? formatKeyCount(undefined)
    : formatCount(Math.max(0, items - held))
}

export function QueueList({ place }: { readonly place: CoordinationPlace }) {
  return (
    <NameListing
      place={place}
      recipes={RECIPES}
      max={QUEUES}
      read={readQueues}
      empty={
        <Empty title="No queue has items">
          <p>Push one:</p>
          <Example text="quorate queue push mail hello" what="the command" />
        </Empty>
      }
    >
      {(rows) => (
        <NameTable
          place={place}
          recipes={RECIPES}
          head="Queue"
          caption="Queues"
          rows={rows}
          columns={[
            { head: 'Ready', isNumber: true, cell: formatReady },
            { head: 'Held or delayed', isNumber: true, cell: ({ held }) => formatKeyCount(held) },
            {
              head: 'Failed',
              isNumber: true,
              cell: ({ failed }) => (
                <span class={failed === 0 ? 'dim' : 'coordination-holds'}>{formatKeyCount(failed)}</span>
              ),
            },
            { head: 'First in line', cell: ({ first }: QueueRow) => first && <Pushed item={first} /> },
          ]}
        />
      )}
    </NameListing>
  )
}

/** The store keeps no time of an item. Its id has the revision before it. */
function Pushed({ item: { revision, priority, attempts } }: { readonly item: QueuedItem }) {
  return (
    <>
      pushed after revision {formatCount(revision)}
      {priority > 0 && `, priority ${priority}`}
      {attempts > 0 && `, ${plural(attempts, 'attempt')}`}
    </>
  )
}

interface QueueDetailProps {
  readonly place: CoordinationPlace
  readonly name: Uint8Array
}

export function QueueDetail({ place, name }: QueueDetailProps) {
  if (place.part !== undefined) return <ItemDetail place={place} name={name} id={place.part} />
  return <WholeQueue place={place} name={name} />
}

const STEP = 25

function WholeQueue({ place, name }: QueueDetailProps) {
  const prefix = namePrefix('queue', name)
  const [max, setMax] = useState({ waiting: STEP, dead: STEP })
  const previews = useRef(new Map<string, Preview>())
  const revision = useRevision()
  const { data, error, reload } = useRequest(
    (signal) => readQueue(prefix, max, previews.current, signal),
    [name.join(), max],
    revision,
  )
  const isLong = data !== undefined && [data.items, data.held, data.failed].includes(undefined)
  const all = useRequest(
    async (signal) => (isLong ? countAll(prefix, signal) : undefined),
    [name.join(), isLong],
  )
  const [said, setSaid] = useState<Said>()
  if (data === undefined)
    return (
      <>
        <DetailHead place={place} title={name} all="All queues" prefix={prefix} />
        {error !== undefined && <Notice kind="problem">{error}</Notice>}
      </>
    )
  const { waiting, dead, foreign } = data
  const counts = (isLong ? all.data : undefined) ?? data
  const { items, held, failed } = counts
  const text = utf8Text(name)
  return (
    <>
      <DetailHead place={place} title={name} all="All queues" prefix={prefix} />
      {error !== undefined && <Notice kind="problem">{error}</Notice>}
      <Figures>
        <Figure label="Ready" value={formatReady(counts)} detail="can be taken" />
        <Figure label="Held or delayed" value={formatKeyCount(held)} detail="come back in time" />
        <Figure label="Failed" value={formatKeyCount(failed)} detail="after their last attempt" />
      </Figures>
      {isLong && all.data !== undefined && (
        <p class="dim">Counted when this page was opened: counting so many takes a while.</p>
      )}
      {said !== undefined && <SaidNotice said={said} />}
      {dead.length > 0 && (
        <section class="coordination-part" aria-labelledby="queue-failed">
          <h3 id="queue-failed">Failed items</h3>
          <FailedItems
            items={dead}
            name={name}
            prefix={prefix}
            onChanged={(next) => {
              setSaid(next)
              reload()
            }}
          />
          <ShowMore
            left={failed === undefined ? undefined : failed - max.dead}
            onClick={() => setMax({ ...max, dead: max.dead + STEP })}
          />
        </section>
      )}
      {waiting.length > 0 ? (
        <section class="coordination-part" aria-labelledby="queue-waiting">
          <h3 id="queue-waiting">Items in line</h3>
          <WaitingItems items={waiting} name={name} />
          <ShowMore
            left={items === undefined ? undefined : items - max.waiting}
            onClick={() => setMax({ ...max, waiting: max.waiting + STEP })}
          />
        </section>
      ) : (
        <Empty title="No item waits">
          {text !== undefined && (
            <>
              <p>Push one:</p>
              <Example text={`quorate queue push ${operands(text, 'hello')}`} what="the command" />
            </>
          )}
        </Empty>
      )}
      <ForeignKeys keys={foreign} />
    </>
  )
}

const itemHref = (name: Uint8Array, id: string): string => placeHref({ tab: 'queues', name, part: id })

interface ItemsProps {
  readonly items: readonly QueuedItem[]
  readonly name: Uint8Array
}

function WaitingItems({ items, name }: ItemsProps) {
  const leases = useLeases(items.flatMap(({ hold }) => hold?.lease ?? []))
  const columns: TableColumn<QueuedItem>[] = [
    {
      head: 'State',
      cell: ({ hold }) =>
        hold === undefined ? (
          <span class="coordination-holds">ready</span>
        ) : (
          <span class="dim">{hold.state}</span>
        ),
    },
    valueColumn(name),
    { head: 'Priority', isNumber: true, cell: ({ priority }) => priority },
    { head: 'Attempts', isNumber: true, cell: ({ attempts }) => formatCount(attempts) },
    { head: 'Time left', cell: ({ hold }) => hold && <TimeLeft lease={leases?.get(hold.lease)} /> },
    { head: 'Last error', cell: ({ error }) => <ErrorText error={error} /> },
  ]
  return <Table caption="Items in line" columns={columns} rows={items} rowKey={({ id }) => id} />
}

const valueColumn = (name: Uint8Array): TableColumn<QueuedItem> => ({
  head: 'Value',
  isWide: true,
  cell: ({ id, preview }) => (
    <a class="coordination-name mono" href={itemHref(name, id)}>
      {preview === undefined ? (
        'no value'
      ) : preview.length === 0 ? (
        'empty'
      ) : (
        <BytesText bytes={preview.start} max={80} />
      )}
    </a>
  ),
})

function ErrorText({ error }: { readonly error: string | undefined }) {
  if (error === undefined) return null
  return (
    <span class="coordination-text">
      <SafeText text={error} max={160} />
    </span>
  )
}

/** The outcome of a change. */
interface Said {
  readonly outcome: WriteOutcome
  readonly text: string
}

function SaidNotice({ said: { outcome, text } }: { readonly said: Said }) {
  return (
    <Notice kind={outcome === 'written' ? 'note' : 'warning'}>
      <Mark of={outcome} />: <SafeText text={text} max={1_000} />
    </Notice>
  )
}

interface FailedItemsProps extends ItemsProps {
  readonly prefix: Uint8Array
  readonly onChanged: (said: Said) => void
}

function FailedItems({ items, name, prefix, onChanged }: FailedItemsProps) {
  const columns: TableColumn<QueuedItem>[] = [
    valueColumn(name),
    { head: 'Attempts', isNumber: true, cell: ({ attempts }) => formatCount(attempts) },
    { head: 'Error', cell: ({ error }) => <ErrorText error={error} /> },
    {
      head: <span class="visually-hidden">Actions</span>,
      cell: (item) => <FailedActions item={item} prefix={prefix} onChanged={onChanged} />,
    },
  ]
  return <Table caption="Failed items" columns={columns} rows={items} rowKey={({ id }) => id} />
}

interface FailedActionsProps {
  readonly item: QueuedItem
  readonly prefix: Uint8Array
  readonly onChanged: (said: Said) => void
}

const CHANGED: Said = {
  outcome: 'not-written',
  text: 'Nothing was changed: somebody else has put the item back, or deleted it.',
}

const failed = (error: unknown): Said => ({
  outcome: isOutcomeUnknown(error) ? 'unknown' : 'not-written',
  text: describeError(error),
})

function FailedActions({ item, prefix, onChanged }: FailedActionsProps) {
  const [isBusy, setBusy] = useState(false)
  const [isDeleting, setDeleting] = useState(false)
  const change = useChange()
  const putBackNow = async (): Promise<void> => {
    setBusy(true)
    try {
      const isDone = await putBack(prefix, item, change)
      onChanged(
        isDone ? { outcome: 'written', text: 'The item is in line again, without its attempts.' } : CHANGED,
      )
    } catch (error) {
      onChanged(failed(error))
    } finally {
      setBusy(false)
    }
  }
  const deleteNow = async (): Promise<void> => {
    let isDone: boolean
    try {
      isDone = await deleteFailed(prefix, item, change)
    } catch (error) {
      throw failedChange(error)
    }
    onChanged(isDone ? { outcome: 'written', text: 'The item was deleted.' } : CHANGED)
  }
  return (
    <span class="coordination-row-actions">
      <Button onClick={() => void putBackNow()} disabled={isBusy}>
        Put back
      </Button>
      <Button kind="danger" onClick={() => setDeleting(true)}>
        Delete
      </Button>
      {isDeleting && (
        <Confirmation
          title="Delete the failed item?"
          action="Delete"
          onConfirm={deleteNow}
          onClose={() => setDeleting(false)}
        >
          <p class="mono">
            <SafeText text={item.id} />
          </p>
          <p>Its value goes with it, and no consumer gets it any more.</p>
        </Confirmation>
      )}
    </span>
  )
}

function ItemDetail({ place, name, id }: QueueDetailProps & { readonly id: string }) {
  const prefix = namePrefix('queue', name)
  const revision = useRevision()
  const [said, setSaid] = useState<Said>()
  const { data, error, reload } = useRequest(
    (signal) => readItem(prefix, id, signal),
    [name.join(), id],
    revision,
  )
  const view = data === undefined || data === 'gone' || data.kind === 'foreign' ? undefined : data
  return (
    <>
      <DetailHead
        place={place}
        title={encodeUtf8(id)}
        back={{
          text: (
            <>
              Queue <BytesText bytes={name} max={60} />
            </>
          ),
          href: placeHref({ tab: 'queues', name }),
        }}
      >
        {view?.kind === 'failed' && (
          <FailedActions
            item={view.item}
            prefix={prefix}
            onChanged={(next) => {
              setSaid(next)
              reload()
            }}
          />
        )}
      </DetailHead>
      {error !== undefined && <Notice kind="problem">{error}</Notice>}
      {said !== undefined && <SaidNotice said={said} />}
      {data === 'gone' && (
        <Empty title="There is no such item">
          <p>It was acknowledged or deleted.</p>
          <Button onClick={() => navigate(placeHref({ tab: 'queues', name }))}>Show the queue</Button>
        </Empty>
      )}
      {data !== undefined && data !== 'gone' && data.kind === 'foreign' && <ForeignKeys keys={[data.key]} />}
      {view !== undefined && <ItemFacts view={view} />}
    </>
  )
}

function ItemFacts({ view: { kind, item, value } }: { readonly view: ItemView }) {
  const leases = useLeases(item.hold === undefined ? [] : [item.hold.lease])
  const { attempts, priority, revision, error, hold, record } = item
  const facts: readonly (readonly [string, preact.ComponentChild])[] = [
    ['State', kind === 'failed' ? 'failed' : (hold?.state ?? 'ready')],
    ['Attempts', formatCount(attempts)],
    ['Priority', priority],
    ['Pushed after revision', formatCount(revision)],
    ['Key', <a href={keysHref({ key: record.key })}>revision {formatCount(record.modRevision)}</a>],
    ...(hold === undefined
      ? []
      : ([
          ['Time left', <TimeLeft lease={leases?.get(hold.lease)} />],
          ['Lease', <LeaseLink lease={hold.lease} />],
        ] as const)),
    ...(hold?.by === undefined
      ? []
      : [[hold.state === 'held' ? 'Held by' : 'Delayed by', <SafeText text={hold.by} />] as const]),
    ...(value === undefined ? [] : [['Size', formatBytes(value.value.length)] as const]),
    ...(value?.by === undefined ? [] : [['Pushed by', <SafeText text={value.by} />] as const]),
  ]
  return (
    <>
      <dl class="facts">
        {facts.map(([name, fact]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{fact}</dd>
          </div>
        ))}
      </dl>
      {error !== undefined && (
        <Notice kind="warning">
          Last error: <SafeText text={error} max={1_000} />
        </Notice>
      )}
      {value === undefined ? (
        <Empty title="It has no value">
          <p>An import that still runs may write it.</p>
        </Empty>
      ) : (
        <ValueView value={value.value} />
      )}
    </>
  )
}
