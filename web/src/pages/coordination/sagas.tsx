// Sagas by state, and the steps of each with their results.

import { useState } from 'preact/hooks'
import { decodeUtf8, encodeUtf8 } from '../../../../src/bytes/index.ts'
import { prefixRange } from '../../../../src/operations/forms/places.ts'
import type { KeyRow } from '../../../../src/operations/forms/store.ts'
import { range } from '../../../../src/operations/range.ts'
import { run } from '../../cluster/connection.ts'
import { pageFreshness } from '../../cluster/freshness.ts'
import { useRequest } from '../../cluster/use-request.ts'
import { useRevision } from '../../cluster/use-revision.ts'
import { BytesText, SafeText } from '../../design/bytes-text.tsx'
import { Empty } from '../../design/empty.tsx'
import { Notice } from '../../design/notice.tsx'
import { formatCount, plural } from '../../design/numbers.ts'
import { Table, type TableColumn } from '../../design/table.tsx'
import { JsonView } from '../keys/json-view.tsx'
import '../keys/keys.css'
import { orderClients } from './clients.ts'
import { type ParsedSaga, parseSaga, SAGA_STATES, type SagaState } from './documents.ts'
import { LeaseLink } from './leases.tsx'
import { useLeases } from './leases-known.ts'
import { DetailHead, Example, ForeignKeys, NameListing, NameTable, ShowMore } from './listing.tsx'
import { escapeName, joinBytes, namePrefix, type RecipeName, unescapeName } from './names.ts'
import { type CoordinationPlace, placeHref } from './place.ts'
import { countKeys, formatKeyCount, getKey, readEach, readKeys } from './reads.ts'
import { TimeLeft } from './time-left.tsx'

const RECIPES = ['saga']
/** Names on a page: the states of sagas are in their records. */
const NAMES = 20
/** Records of one name that the list reads. */
const RECORDS = 200

const stateKeys = (prefix: Uint8Array): Uint8Array => joinBytes(prefix, encodeUtf8('state/'))
const ownerKeys = (prefix: Uint8Array): Uint8Array => joinBytes(prefix, encodeUtf8('owner/'))

interface SagaRow {
  readonly name: RecipeName
  readonly states: Readonly<Record<SagaState, number>>
  /** There are more records than were read. */
  readonly more: boolean
  /** Processes that run one or wait for it; undefined: many. */
  readonly owners: number | undefined
}

async function readRow(name: RecipeName, owners: number | undefined, signal: AbortSignal): Promise<SagaRow> {
  const { records, more } = await readRecords(name.prefix, RECORDS, signal)
  const states = { running: 0, compensating: 0, completed: 0, compensated: 0 }
  for (const { value } of records) {
    const status = parseSaga(value)?.status
    if (status !== undefined) states[status]++
  }
  return { name, states, more, owners }
}

async function readRecords(prefix: Uint8Array, limit: number, signal: AbortSignal) {
  const { result } = await run(
    range,
    { kind: 'range', range: prefixRange(stateKeys(prefix)), limit, freshness: pageFreshness() },
    { signal },
  )
  return result
}

export function SagaList({ place }: { readonly place: CoordinationPlace }) {
  return (
    <NameListing
      place={place}
      recipes={RECIPES}
      max={NAMES}
      read={async (names, signal) => {
        const owners = await readEach(
          names.map(({ prefix }) => countKeys(ownerKeys(prefix))),
          signal,
        )
        return Promise.all(names.map((name, at) => readRow(name, owners[at]?.count, signal)))
      }}
      empty={
        <Empty title="No sagas">
          <p>A program runs one, step by step, and undoes the steps when one fails:</p>
          <Example text="await saga(kv, 'orders', steps).run('order-1', { amount: 7 })" what="the code" />
        </Empty>
      }
    >
      {(rows) => (
        <>
          <NameTable
            place={place}
            recipes={RECIPES}
            head="Saga"
            caption="Sagas"
            rows={rows}
            columns={[
              ...SAGA_STATES.map((state) => ({
                head: STATE_NAMES[state],
                isNumber: true,
                cell: ({ states, more }: SagaRow) => `${formatCount(states[state])}${more ? ' +' : ''}`,
              })),
              { head: 'Processes', isNumber: true, cell: ({ owners }) => formatKeyCount(owners) },
            ]}
          />
          {rows.some(({ more }) => more) && (
            <p class="dim">+: of the first {formatCount(RECORDS)} records, or 4 MiB of them.</p>
          )}
        </>
      )}
    </NameListing>
  )
}

const STATE_NAMES: Readonly<Record<SagaState, string>> = {
  running: 'Running',
  compensating: 'Compensating',
  completed: 'Completed',
  compensated: 'Compensated',
}

function StateName({ state }: { readonly state: SagaState }) {
  const hasEnded = state === 'completed' || state === 'compensated'
  return <span class={hasEnded ? 'dim' : 'coordination-holds'}>{state}</span>
}

interface SagaDetailProps {
  readonly place: CoordinationPlace
  readonly name: Uint8Array
}

export function SagaDetail({ place, name }: SagaDetailProps) {
  const { part } = place
  if (part !== undefined) return <OneSaga place={place} name={name} id={part} />
  return <SagaRecords place={place} name={name} />
}

const STEP = 100

interface ListedSaga extends ParsedSaga {
  readonly id: Uint8Array
  readonly key: Uint8Array
}

function SagaRecords({ place, name }: SagaDetailProps) {
  const prefix = namePrefix('saga', name)
  const [max, setMax] = useState(STEP)
  const revision = useRevision()
  const { data, error } = useRequest(
    (signal) => readRecords(prefix, max, signal),
    [name.join(), max],
    revision,
  )
  const { sagas, foreign } = readSagas(prefix, data?.records ?? [])
  return (
    <>
      <DetailHead place={place} title={name} all="All sagas" prefix={prefix} />
      {error !== undefined && <Notice kind="problem">{error}</Notice>}
      {data !== undefined && sagas.length === 0 && <Empty title="There are no records of this saga" />}
      {sagas.length > 0 && (
        <Table
          caption="Sagas"
          rows={sagas}
          rowKey={({ key }) => key.join()}
          columns={[
            {
              head: 'Id',
              cell: ({ id }) => (
                <a
                  class="coordination-name coordination-text mono"
                  href={placeHref({ tab: 'sagas', name, part: decodeUtf8(id) })}
                >
                  <BytesText bytes={id} max={120} />
                </a>
              ),
            },
            { head: 'State', cell: ({ status }) => <StateName state={status} /> },
            { head: 'Steps', isNumber: true, cell: ({ steps }) => steps.length },
            { head: 'Undone', isNumber: true, cell: ({ compensated }) => compensated.length },
            {
              head: 'Failure',
              isWide: true,
              cell: ({ failure }) =>
                failure !== undefined && (
                  <>
                    <SafeText text={failure.step} max={60} />: <SafeText text={failure.message} max={200} />
                  </>
                ),
            },
          ]}
        />
      )}
      <ShowMore left={data?.more === true ? undefined : 0} onClick={() => setMax(max + STEP)} />
      <ForeignKeys keys={foreign} />
    </>
  )
}

function readSagas(prefix: Uint8Array, records: readonly KeyRow[]) {
  const sagas: ListedSaga[] = []
  const foreign: Uint8Array[] = []
  for (const { key, value } of records) {
    const record = parseSaga(value)
    const id = key.subarray(stateKeys(prefix).length)
    if (record === undefined) foreign.push(key)
    else sagas.push({ ...record, id: unescapeName(id) ?? id, key })
  }
  return { sagas, foreign }
}

async function readSaga(prefix: Uint8Array, id: string, signal: AbortSignal) {
  const escaped = escapeName(encodeUtf8(id))
  const owners = joinBytes(ownerKeys(prefix), escaped, encodeUtf8('/'))
  const [found] = await readEach([getKey(joinBytes(stateKeys(prefix), escaped))], signal)
  const { records } = await readKeys(owners, signal)
  const queue = orderClients({ recipe: 'saga', name: encodeUtf8(id), prefix: owners }, records)
  return { record: found?.records[0], queue }
}

function OneSaga({ place, name, id }: SagaDetailProps & { readonly id: string }) {
  const prefix = namePrefix('saga', name)
  const revision = useRevision()
  const { data, error } = useRequest((signal) => readSaga(prefix, id, signal), [name.join(), id], revision)
  const record = data?.record
  const saga = record && parseSaga(record.value)
  const owners = data?.queue.clients ?? []
  const leases = useLeases(owners.map(({ lease }) => lease))
  return (
    <>
      <DetailHead
        place={place}
        title={encodeUtf8(id)}
        back={{
          text: (
            <>
              Saga <BytesText bytes={name} max={60} />
            </>
          ),
          href: placeHref({ tab: 'sagas', name }),
        }}
      />
      {error !== undefined && <Notice kind="problem">{error}</Notice>}
      {data !== undefined && record === undefined && (
        <Empty title="There is no such saga">
          <p>A program may have forgotten it.</p>
        </Empty>
      )}
      {record !== undefined && saga === undefined && <ForeignKeys keys={[record.key]} />}
      {saga !== undefined && (
        <>
          {saga.failure !== undefined && (
            <Notice kind="warning">
              The step <SafeText text={saga.failure.step} max={60} /> has failed:{' '}
              <SafeText text={saga.failure.message} max={1_000} />
            </Notice>
          )}
          <p class="coordination-note">
            It is <StateName state={saga.status} />
            {owners.length > 0
              ? `: ${plural(owners.length, 'process runs it or waits', 'processes run it or wait')}.`
              : saga.status === 'running' || saga.status === 'compensating'
                ? ', and no process runs it. resume() of a process continues it.'
                : '.'}
          </p>
          {owners.length > 0 && (
            <Table
              caption="Processes"
              rows={owners}
              rowKey={({ token }) => String(token)}
              columns={[
                {
                  head: 'Process',
                  cell: ({ state }) => (
                    <span class={state === 'holds' ? 'coordination-holds' : 'dim'}>
                      {state === 'holds' ? 'runs it' : 'waits'}
                    </span>
                  ),
                },
                { head: 'Token', isNumber: true, cell: ({ token }) => formatCount(token) },
                { head: 'Time left', cell: ({ lease }) => <TimeLeft lease={leases?.get(lease)} /> },
                { head: 'Lease', isWide: true, cell: ({ lease }) => <LeaseLink lease={lease} /> },
              ]}
            />
          )}
          <Steps saga={saga} />
          <section class="coordination-part" aria-label="Input">
            <h3>Input</h3>
            <JsonView json={saga.input} />
          </section>
        </>
      )}
    </>
  )
}

type Step = ParsedSaga['steps'][number]

function Steps({ saga: { steps, compensated } }: { readonly saga: ParsedSaga }) {
  const columns: TableColumn<Step>[] = [
    {
      head: 'Step',
      cell: ({ name }) => (
        <span class="coordination-text">
          <SafeText text={name} max={120} />
        </span>
      ),
    },
    {
      head: 'State',
      cell: ({ name }) => (
        <span class="dim">{compensated.includes(name) ? 'done, then undone' : 'done'}</span>
      ),
    },
    { head: 'Result', isWide: true, cell: ({ result }) => <JsonView json={result} /> },
  ]
  if (steps.length === 0) return <Empty title="No step is done yet" />
  return <Table caption="Steps" columns={columns} rows={steps} rowKey={({ name }) => name} />
}
