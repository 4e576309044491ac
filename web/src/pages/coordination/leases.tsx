// Leases, and the keys that end with each.

import { useState } from 'preact/hooks'
import { decodeUtf8, encodeUtf8 } from '../../../../src/bytes/index.ts'
import { parseLeaseId } from '../../../../src/operations/forms/leases.ts'
import type { LeaseId } from '../../../../src/operations/forms/store.ts'
import { listLeases } from '../../../../src/operations/list-leases.ts'
import { revoke } from '../../../../src/operations/revoke.ts'
import { showLease } from '../../../../src/operations/show-lease.ts'
import { nameChange } from '../../cluster/change.ts'
import { RefusedError, run } from '../../cluster/connection.ts'
import { pageFreshness } from '../../cluster/freshness.ts'
import { useChange } from '../../cluster/use-change.ts'
import { useRequest } from '../../cluster/use-request.ts'
import { useRevision } from '../../cluster/use-revision.ts'
import { Button } from '../../design/button.tsx'
import { BytesText } from '../../design/bytes-text.tsx'
import { Confirmation } from '../../design/dialog.tsx'
import { Empty } from '../../design/empty.tsx'
import { Figure, Figures } from '../../design/figure.tsx'
import { Notice } from '../../design/notice.tsx'
import { formatDuration, plural } from '../../design/numbers.ts'
import { Table } from '../../design/table.tsx'
import { keysHref } from '../keys/key-route.ts'
import { failedChange } from '../operation/outcome.tsx'
import { type KnownLease, useLeases } from './leases-known.ts'
import { DetailHead, Example, ShowMore } from './listing.tsx'
import { type CoordinationPlace, placeHref } from './place.ts'
import { TimeLeft } from './time-left.tsx'

const PAGE = 100

export function LeaseLink({ lease }: { readonly lease: LeaseId }) {
  return (
    <a class="coordination-lease" href={placeHref({ tab: 'leases', name: encodeUtf8(lease) })}>
      {lease}
    </a>
  )
}

/** The id that a link names; undefined: it names none. */
function readId(text: string | undefined): LeaseId | undefined {
  try {
    return text === undefined ? undefined : parseLeaseId(text, 'the lease')
  } catch {
    return undefined
  }
}

export function LeaseList({ place }: { readonly place: CoordinationPlace }) {
  const after = readId(place.from)
  const revision = useRevision()
  const { data, error } = useRequest(
    async (signal) => {
      const request = { kind: 'list-leases', after, limit: PAGE, freshness: pageFreshness() } as const
      const { result } = await run(listLeases, request, { signal })
      return { ...result, readAt: Date.now() }
    },
    [after],
    revision,
  )
  const known = useLeases(data?.leases.map(({ id }) => id) ?? [])
  if (error !== undefined && data === undefined) return <Notice kind="problem">{error}</Notice>
  if (data === undefined) return null
  const { leases, more, readAt } = data
  if (leases.length === 0 && after === undefined)
    return (
      <Empty title="No leases">
        <p>Keys with a lease are deleted when it ends. Grant one:</p>
        <Example text="quorate lease grant 10m" what="the command" />
      </Empty>
    )
  return (
    <>
      {error !== undefined && <Notice kind="problem">{error}</Notice>}
      <Table
        caption="Leases"
        rows={leases}
        rowKey={({ id }) => id}
        columns={[
          { head: 'Lease', cell: ({ id }) => <LeaseLink lease={id} /> },
          {
            head: 'Time left',
            isWide: true,
            cell: (lease) => <TimeLeft lease={known?.get(lease.id) ?? { ...lease, readAt }} />,
          },
        ]}
      />
      <nav class="coordination-pager" aria-label="Pages of leases">
        {after !== undefined && <a href={placeHref({ ...place, from: undefined })}>First page</a>}
        {more && <a href={placeHref({ ...place, from: leases.at(-1)?.id })}>Next page</a>}
      </nav>
    </>
  )
}

interface LeaseDetailProps {
  readonly place: CoordinationPlace
  readonly name: Uint8Array
}

export function LeaseDetail({ place, name }: LeaseDetailProps) {
  const id = readId(decodeUtf8(name))
  return (
    <>
      {id === undefined ? (
        <>
          <DetailHead place={place} title={name} all="All leases" />
          <Empty title="This is not the id of a lease">
            <p>An id is a decimal number.</p>
          </Empty>
        </>
      ) : (
        <KnownLeaseDetail place={place} name={name} id={id} />
      )}
    </>
  )
}

function KnownLeaseDetail({ place, name, id }: LeaseDetailProps & { readonly id: LeaseId }) {
  const revision = useRevision()
  const [isRevoking, setRevoking] = useState(false)
  const [outcome, setOutcome] = useState<string>()
  const { data, error, reload } = useRequest((signal) => readLease(id, signal), [id], revision)
  const known = useLeases([id])
  return (
    <>
      <DetailHead place={place} title={name} all="All leases">
        {data !== undefined && data !== 'ended' && (
          <Button kind="danger" onClick={() => setRevoking(true)}>
            Revoke
          </Button>
        )}
      </DetailHead>
      {outcome !== undefined && <Notice kind="note">{outcome}</Notice>}
      {error !== undefined && <Notice kind="problem">{error}</Notice>}
      {data === 'ended' && outcome === undefined && (
        <Empty title="This lease has ended, or never was">
          <p>Its keys were deleted at the same revision.</p>
        </Empty>
      )}
      {data !== undefined && data !== 'ended' && (
        <>
          <Figures>
            <Figure
              label="Time to live"
              value={formatDuration(data.lease.grantedTtlMs)}
              detail={<TimeLeft lease={known?.get(id) ?? data.lease} />}
            />
            <Figure label="Keys" value={data.keys.length} detail="end with it" />
          </Figures>
          <LeaseKeys keys={data.keys} />
          {isRevoking && (
            <Revocation
              id={id}
              keys={data.keys}
              onClose={() => setRevoking(false)}
              onRevoked={(text) => {
                setOutcome(text)
                reload()
              }}
            />
          )}
        </>
      )}
    </>
  )
}

interface LeaseView {
  readonly lease: KnownLease
  readonly keys: readonly Uint8Array[]
}

async function readLease(id: LeaseId, signal: AbortSignal): Promise<LeaseView | 'ended'> {
  try {
    const request = { kind: 'show-lease', id, keys: true, freshness: pageFreshness() } as const
    const { result } = await run(showLease, request, { signal })
    return { lease: { ...result.lease, readAt: Date.now() }, keys: result.keys ?? [] }
  } catch (error) {
    if (error instanceof RefusedError && error.problem.code === 'lease_not_found') return 'ended'
    throw error
  }
}

const STEP = 100

function LeaseKeys({ keys }: { readonly keys: readonly Uint8Array[] }) {
  const [max, setMax] = useState(STEP)
  if (keys.length === 0)
    return (
      <Empty title="No key has this lease">
        <p>It ends by itself unless a client keeps it alive.</p>
      </Empty>
    )
  return (
    <>
      <ul class="coordination-keys mono" aria-label="Keys of the lease">
        {keys.slice(0, max).map((key) => (
          <li key={key.join()}>
            <a href={keysHref({ key })}>
              <BytesText bytes={key} max={300} />
            </a>
          </li>
        ))}
      </ul>
      <ShowMore left={keys.length - max} onClick={() => setMax(max + STEP)} />
    </>
  )
}

interface RevocationProps {
  readonly id: LeaseId
  readonly keys: readonly Uint8Array[]
  readonly onClose: () => void
  readonly onRevoked: (text: string) => void
}

const SHOWN_KEYS = 10

function Revocation({ id, keys, onClose, onRevoked }: RevocationProps) {
  const change = useChange()
  const confirm = async (): Promise<void> => {
    try {
      const { result } = await change(revoke, { kind: 'revoke', id, idempotency: nameChange() })
      onRevoked(`The lease was revoked, and ${plural(result.deleted, 'key')} deleted.`)
    } catch (error) {
      throw failedChange(error)
    }
  }
  return (
    <Confirmation title={`Revoke lease ${id}?`} action="Revoke" onConfirm={confirm} onClose={onClose}>
      <p>
        {keys.length === 0
          ? 'It has no keys now. A key that gets it meanwhile is deleted.'
          : `${plural(keys.length, 'key')} end with it, at one revision. Its program loses what it holds by them: a lock, a lead, an item, or its registration.`}
      </p>
      <ul class="mono">
        {keys.slice(0, SHOWN_KEYS).map((key) => (
          <li key={key.join()}>
            <BytesText bytes={key} max={120} />
          </li>
        ))}
      </ul>
      {keys.length > SHOWN_KEYS && <p>And {keys.length - SHOWN_KEYS} more.</p>}
    </Confirmation>
  )
}
