// Locks, elections and semaphores: who holds them, with which token, for how long, and who waits.

import { useState } from 'preact/hooks'
import type { KeyRow } from '../../../../src/operations/forms/store.ts'
import { useRequest } from '../../cluster/use-request.ts'
import { useRevision } from '../../cluster/use-revision.ts'
import { BytesText, SafeText } from '../../design/bytes-text.tsx'
import { Empty } from '../../design/empty.tsx'
import { Figure, Figures } from '../../design/figure.tsx'
import { Notice } from '../../design/notice.tsx'
import { formatCount, plural } from '../../design/numbers.ts'
import { Table, type TableColumn } from '../../design/table.tsx'
import { type ClientsOfName, readAllClients, readClients } from './client-reads.ts'
import { type ClientState, findHolders, type QueuedClient } from './clients.ts'
import { LeaseLink } from './leases.tsx'
import { useLeases } from './leases-known.ts'
import { DetailHead, Example, ForeignKeys, NameListing, NameTable, ShowMore } from './listing.tsx'
import { namePrefix } from './names.ts'
import type { CoordinationPlace } from './place.ts'
import { TimeLeft } from './time-left.tsx'

export type ClientTab = 'locks' | 'elections' | 'semaphores'

interface Words {
  readonly recipes: readonly string[]
  readonly head: string
  readonly all: string
  readonly holder: string
  readonly states: Readonly<Record<ClientState, string>>
  readonly waiting: string
  readonly empty: preact.ComponentChild
  /** The title for a name that nobody uses any more. */
  readonly gone: string
}

const WORDS: Readonly<Record<ClientTab, Words>> = {
  locks: {
    recipes: ['lock', 'rwlock'],
    head: 'Lock',
    all: 'All locks',
    holder: 'Held by',
    states: { holds: 'holds', waits: 'waits', unknown: '' },
    waiting: 'Waiting',
    empty: (
      <Empty title="No lock is held">
        <p>Hold one while a command runs:</p>
        <Example text="quorate lock deploy -- ./deploy.sh" what="the command" />
      </Empty>
    ),
    gone: 'Nobody holds this lock, and nobody waits for it',
  },
  elections: {
    recipes: ['election'],
    head: 'Election',
    all: 'All elections',
    holder: 'Led by',
    states: { holds: 'leads', waits: 'candidate', unknown: '' },
    waiting: 'Candidates',
    empty: (
      <Empty title="No election has candidates">
        <p>Be elected while a command runs:</p>
        <Example text="quorate elect scheduler host-a -- ./scheduler" what="the command" />
      </Empty>
    ),
    gone: 'This election has no candidates',
  },
  semaphores: {
    recipes: ['semaphore'],
    head: 'Semaphore',
    all: 'All semaphores',
    holder: 'First',
    states: { holds: 'holds', waits: 'waits', unknown: '' },
    waiting: 'Clients',
    empty: (
      <Empty title="No semaphore is in use">
        <p>Acquire one of three permits in a program:</p>
        <Example text="await semaphore(kv, 'uploads', 3).acquire()" what="the code" />
      </Empty>
    ),
    gone: 'Nobody holds a permit of this semaphore',
  },
}

interface TabProps {
  readonly place: CoordinationPlace
  readonly tab: ClientTab
}

export function ClientQueueList({ place, tab }: TabProps) {
  const { recipes, empty } = WORDS[tab]
  return (
    <NameListing place={place} recipes={recipes} read={readClients} empty={empty}>
      {(rows) => <ClientQueueTable place={place} tab={tab} rows={rows} />}
    </NameListing>
  )
}

/** The client at which one looks first: the oldest one, where the store does not say who holds. */
const findFirst = ({ queue }: ClientsOfName): QueuedClient | undefined =>
  findHolders(queue)[0] ?? queue.clients[0]

function ClientQueueTable({ place, tab, rows }: TabProps & { readonly rows: readonly ClientsOfName[] }) {
  const { recipes, head, all, holder, waiting } = WORDS[tab]
  const leases = useLeases(rows.flatMap((row) => findFirst(row)?.lease ?? []))
  const columns: TableColumn<ClientsOfName>[] = [
    ...(tab === 'elections'
      ? [{ head: 'Value', cell: (row: ClientsOfName) => <Value record={findFirstRecord(row)} max={60} /> }]
      : []),
    {
      head: waiting,
      isNumber: true,
      cell: ({ queue, isCut }) => {
        const count = queue.clients.length - findHolders(queue).length
        return isCut ? `over ${formatCount(count)}` : formatCount(count)
      },
    },
    {
      head: 'Token',
      isNumber: true,
      cell: (row) => formatToken(row.isCut ? undefined : findFirst(row)),
    },
    {
      head: 'Time left',
      cell: (row) => {
        const lease = row.isCut ? undefined : findFirst(row)?.lease
        return lease !== undefined && <TimeLeft lease={leases?.get(lease)} />
      },
    },
    {
      head: holder,
      cell: (row) => (row.isCut ? <span class="dim">too many clients</span> : <Holder row={row} tab={tab} />),
    },
  ]
  return (
    <>
      <NameTable place={place} recipes={recipes} head={head} caption={all} columns={columns} rows={rows} />
      {tab === 'locks' && <LeaseNote />}
    </>
  )
}

/** The value of such a key is empty: it has no other name. */
const LeaseNote = () => (
  <p class="coordination-note">
    The store knows who holds a lock by the lease that the program was granted; where rights are checked, by
    the user as well. A program that prints its token can be found by it.
  </p>
)

const formatToken = (client: QueuedClient | undefined): string =>
  client === undefined ? '–' : formatCount(client.token)

const findFirstRecord = (row: ClientsOfName): KeyRow | undefined => {
  const first = findFirst(row)
  return first && row.records.get(first.token)
}

function Holder({ row, tab }: { readonly row: ClientsOfName; readonly tab: ClientTab }) {
  const holders = findHolders(row.queue)
  if (holders.length > 1) return <>{plural(holders.length, 'reader')}</>
  const first = findFirst(row)
  if (first === undefined) return <span class="dim">nobody</span>
  const user = row.records.get(first.token)?.by
  return (
    <>
      {user !== undefined && (
        <>
          <SafeText text={user} max={60} />,{' '}
        </>
      )}
      {tab === 'locks' && first.mode !== undefined && (first.mode === 'writes' ? 'writer, ' : 'reader, ')}
      lease <LeaseLink lease={first.lease} />
    </>
  )
}

function Value({ record, max }: { readonly record: KeyRow | undefined; readonly max: number }) {
  if (record === undefined) return <span class="dim">–</span>
  if (record.value.length === 0) return <span class="dim">empty</span>
  return (
    <span class="coordination-text mono">
      <BytesText bytes={record.value} max={max} />
    </span>
  )
}

const STEP = 100

export function ClientQueueDetail({
  place,
  tab,
  name,
}: TabProps & {
  readonly name: Uint8Array
}) {
  const { recipes, all, gone } = WORDS[tab]
  const recipe = recipes.find((each) => each === place.recipe) ?? recipes[0] ?? ''
  const prefix = namePrefix(recipe, name)
  const [max, setMax] = useState(STEP)
  const revision = useRevision()
  const { data, error } = useRequest(
    (signal) => readAllClients({ recipe, name, prefix }, max, signal),
    [recipe, name.join(), max],
    revision,
  )
  return (
    <>
      <DetailHead place={place} title={name} all={all} prefix={prefix} />
      {error !== undefined && <Notice kind="problem">{error}</Notice>}
      {data !== undefined && (
        <>
          {data.queue.clients.length === 0 ? (
            <Empty title={gone} />
          ) : (
            <Clients tab={tab} clients={data} max={max} />
          )}
          <ShowMore left={data.queue.clients.length - max} onClick={() => setMax(max + STEP)} />
          <ForeignKeys keys={data.queue.foreign.map(({ key }) => key)} />
        </>
      )}
    </>
  )
}

interface ClientsProps {
  readonly tab: ClientTab
  readonly clients: ClientsOfName
  readonly max: number
}

function Clients({ tab, clients: found, max }: ClientsProps) {
  const { all, states, waiting } = WORDS[tab]
  const { queue, records, isCut, name } = found
  const shown = queue.clients.slice(0, max)
  const leases = useLeases(shown.map(({ lease }) => lease))
  const holders = findHolders(queue)
  const first = findFirst(found)
  const hasValues = tab === 'elections' || [...records.values()].some(({ value }) => value.length > 0)
  const writers = [...records.values()].some(({ by }) => by !== undefined)
  const record = (client: QueuedClient): KeyRow | undefined => records.get(client.token)
  const columns: TableColumn<QueuedClient>[] = [
    { head: 'Turn', isNumber: true, cell: (client) => queue.clients.indexOf(client) + 1 },
    ...(tab === 'semaphores'
      ? []
      : [{ head: 'State', cell: (client: QueuedClient) => <State client={client} words={states} /> }]),
    ...(name.recipe === 'rwlock' ? [{ head: 'Mode', cell: ({ mode }: QueuedClient) => mode }] : []),
    ...(hasValues
      ? [
          {
            head: 'Value',
            isWide: true,
            cell: (client: QueuedClient) => <Value record={record(client)} max={300} />,
          },
        ]
      : []),
    { head: 'Token', isNumber: true, cell: ({ token }) => formatCount(token) },
    { head: 'Time left', cell: ({ lease }) => <TimeLeft lease={leases?.get(lease)} /> },
    { head: 'Lease', isWide: !hasValues, cell: ({ lease }) => <LeaseLink lease={lease} /> },
    ...(writers
      ? [{ head: 'User', cell: (client: QueuedClient) => <SafeText text={record(client)?.by ?? ''} /> }]
      : []),
  ]
  return (
    <>
      {isCut && (
        <Notice kind="warning">
          It has more keys than one read may have: the order below is of those that were read.
        </Notice>
      )}
      {tab === 'semaphores' ? (
        <Figures>
          <Figure label="Clients" value={formatCount(queue.clients.length)} detail="hold a permit or wait" />
        </Figures>
      ) : (
        <Figures>
          <Figure
            label="Fencing token"
            value={first && formatCount(first.token)}
            detail="refuse writes with a lower one"
          />
          <Figure
            label={waiting}
            value={formatCount(queue.clients.length - holders.length)}
            detail={holders.length > 1 ? `${plural(holders.length, 'reader')} hold it` : 'in this order'}
          />
        </Figures>
      )}
      {tab === 'semaphores' && (
        <p class="coordination-note">
          The first clients hold the permits. How many there are is in the programs, not in the store.
        </p>
      )}
      {tab === 'locks' && <LeaseNote />}
      <Table
        caption={`Clients: ${all}`}
        columns={columns}
        rows={shown}
        rowKey={({ token }) => String(token)}
      />
    </>
  )
}

function State({
  client: { state },
  words,
}: {
  readonly client: QueuedClient
  readonly words: Words['states']
}) {
  return <span class={state === 'holds' ? 'coordination-holds' : 'dim'}>{words[state]}</span>
}
