// Services, and their instances.

import { useState } from 'preact/hooks'
import { prefixRange } from '../../../../src/operations/forms/places.ts'
import type { KeyRow, LeaseId } from '../../../../src/operations/forms/store.ts'
import { range } from '../../../../src/operations/range.ts'
import { run } from '../../cluster/connection.ts'
import { pageFreshness } from '../../cluster/freshness.ts'
import { useRequest } from '../../cluster/use-request.ts'
import { useRevision } from '../../cluster/use-revision.ts'
import { BytesText, SafeText } from '../../design/bytes-text.tsx'
import { Empty } from '../../design/empty.tsx'
import { Figure, Figures } from '../../design/figure.tsx'
import { Notice } from '../../design/notice.tsx'
import { formatCount } from '../../design/numbers.ts'
import { Table } from '../../design/table.tsx'
import { formatMeta, parseInstance, type ServiceInstance } from './documents.ts'
import { LeaseLink } from './leases.tsx'
import { useLeases } from './leases-known.ts'
import { DetailHead, Example, ForeignKeys, NameListing, NameTable, ShowMore } from './listing.tsx'
import { namePrefix, unescapeName } from './names.ts'
import type { CoordinationPlace } from './place.ts'
import { countKeys, formatKeyCount, readEach } from './reads.ts'
import { TimeLeft } from './time-left.tsx'

const RECIPES = ['service']

export function ServiceList({ place }: { readonly place: CoordinationPlace }) {
  return (
    <NameListing
      place={place}
      recipes={RECIPES}
      read={async (names, signal) => {
        const found = await readEach(
          names.map(({ prefix }) => countKeys(prefix)),
          signal,
        )
        return names.map((name, at) => ({ name, count: found[at]?.count }))
      }}
      empty={
        <Empty title="No service is registered">
          <p>Register an instance until Ctrl-C:</p>
          <Example text="quorate service register api http://10.0.0.1:80" what="the command" />
        </Empty>
      }
    >
      {(rows) => (
        <NameTable
          place={place}
          recipes={RECIPES}
          head="Service"
          caption="Services"
          rows={rows}
          columns={[{ head: 'Instances', isNumber: true, cell: ({ count }) => formatKeyCount(count) }]}
        />
      )}
    </NameListing>
  )
}

const STEP = 200
/** Rows of a page: the time that is left to each changes four times a second. */
const ROWS_MAX = 400
const META_MAX = 120

interface Registered extends ServiceInstance {
  readonly id: Uint8Array
  readonly lease: LeaseId
  readonly key: Uint8Array
}

interface ServiceDetailProps {
  readonly place: CoordinationPlace
  readonly name: Uint8Array
}

export function ServiceDetail({ place, name }: ServiceDetailProps) {
  const prefix = namePrefix('service', name)
  const [max, setMax] = useState(STEP)
  const revision = useRevision()
  const { data, error } = useRequest(
    async (signal) => {
      const request = {
        kind: 'range',
        range: prefixRange(prefix),
        limit: max,
        count: true,
        freshness: pageFreshness(),
      }
      const { result } = await run(range, { ...request, kind: 'range' }, { signal })
      return result
    },
    [name.join(), max],
    revision,
  )
  const { instances, foreign } = readInstances(prefix, data?.records ?? [])
  const leases = useLeases(instances.map(({ lease }) => lease))
  return (
    <>
      <DetailHead place={place} title={name} all="All services" prefix={prefix} />
      {error !== undefined && <Notice kind="problem">{error}</Notice>}
      {data !== undefined && instances.length === 0 && <Empty title="No instance is registered" />}
      {instances.length > 0 && (
        <>
          <Figures>
            <Figure
              label="Instances"
              value={formatCount((data?.count ?? 0) - foreign.length)}
              detail="registered"
            />
          </Figures>
          <Table
            caption="Instances"
            rows={instances}
            rowKey={({ key }) => key.join()}
            columns={[
              {
                head: 'Instance',
                cell: ({ id }) => (
                  <span class="coordination-text mono">
                    <BytesText bytes={id} max={120} />
                  </span>
                ),
              },
              {
                head: 'URL',
                cell: ({ url }) => (
                  <span class="coordination-text mono">
                    <SafeText text={url} max={300} />
                  </span>
                ),
              },
              { head: 'Weight', isNumber: true, cell: ({ weight }) => formatCount(weight) },
              { head: 'Time left', cell: ({ lease }) => <TimeLeft lease={leases?.get(lease)} /> },
              { head: 'Lease', cell: ({ lease }) => <LeaseLink lease={lease} /> },
              {
                head: 'Metadata',
                isWide: true,
                cell: ({ meta }) => (
                  <span class="dim mono">
                    <SafeText text={formatMeta(meta)} max={META_MAX} />
                  </span>
                ),
              },
            ]}
          />
        </>
      )}
      <ShowMore
        left={data?.more === true && max < ROWS_MAX ? undefined : 0}
        onClick={() => setMax(max + STEP)}
      />
      {data?.more === true && max >= ROWS_MAX && (
        <p class="dim">These are the first {formatCount(max)}. Its keys lead to the others.</p>
      )}
      <ForeignKeys keys={foreign} />
    </>
  )
}

/** A key without a lease, or with another value, is no instance. */
function readInstances(prefix: Uint8Array, records: readonly KeyRow[]) {
  const instances: Registered[] = []
  const foreign: Uint8Array[] = []
  for (const { key, value, lease } of records) {
    const instance = lease === undefined ? undefined : parseInstance(value)
    const id = key.subarray(prefix.length)
    if (lease === undefined || instance === undefined) foreign.push(key)
    else instances.push({ ...instance, id: unescapeName(id) ?? id, lease, key })
  }
  return { instances, foreign }
}
