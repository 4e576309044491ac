// The outcome of a transaction that was sent, and the result of each operation.

import type { KeyRow } from '../../../../src/operations/forms/store.ts'
import type {
  KvTxn,
  KvTxnOperation,
  KvTxnOperationResult,
  KvTxnResult,
} from '../../../../src/operations/forms/transactions.ts'
import { BytesText, SafeText } from '../../design/bytes-text.tsx'
import { Mark, type WriteOutcome } from '../../design/mark.tsx'
import { formatClock, formatCount, plural } from '../../design/numbers.ts'
import { Table } from '../../design/table.tsx'
import { keysHref } from '../keys/key-route.ts'
import { repeatOf, type Sent, type TxnAnswer } from './draft.ts'
import { WordsLine } from './txn-outline.tsx'
import { describePlace } from './txn-words.ts'

export function TxnResultView({ sent, isOld }: { readonly sent: Sent; readonly isOld: boolean }) {
  const { txn, time, answer } = sent
  const { mark, sentence, next } = answer === undefined ? WAITING : describeAnswer(txn, answer)
  return (
    <>
      <h2 id="txn-result">Result</h2>
      <div class="txn-outcome" role="status">
        <p>
          {mark !== undefined && <Mark of={mark} text={null} />}
          <strong>
            <SafeText text={sentence} />
          </strong>
        </p>
        {next !== undefined && <p>{next}</p>}
        {time !== undefined && (
          <p class="dim">
            {formatClock(time)}
            {isOld && '. The text has changed since'}
          </p>
        )}
      </div>
      {answer?.kind === 'done' && <Results txn={txn} result={answer.outcome} />}
    </>
  )
}

interface Description {
  readonly mark?: WriteOutcome
  readonly sentence: string
  /** A sentence about the reason, or about the next step. */
  readonly next?: string | undefined
}

const WAITING: Description = { sentence: 'Sent. There is no answer yet.' }

function describeAnswer(txn: KvTxn, answer: TxnAnswer): Description {
  if (answer.kind === 'done') return describeOutcome(txn, answer.outcome, answer.isReplayed)
  const repeat = repeatOf(txn)
  if (repeat === 'freely') return { sentence: `Nothing was read: ${answer.reason}.` }
  if (!answer.isUnknown) return { mark: 'not-written', sentence: `Not written: ${answer.reason}.` }
  return {
    mark: 'unknown',
    sentence: `It is not known whether it was written: ${answer.reason}.`,
    next:
      repeat === 'by-id'
        ? 'Run it again without a change: then it is applied at most once.'
        : 'Look at its keys before you run it again: it could be applied twice, as it shows what was there before.',
  }
}

function describeOutcome(
  txn: KvTxn,
  outcome: KvTxnResult & { readonly revision: number },
  isReplayed: boolean,
): Description {
  const revision = formatCount(outcome.revision)
  const isOne = txn.compare.length === 1
  const branch =
    txn.compare.length === 0
      ? undefined
      : outcome.succeeded
        ? `${isOne ? 'The comparison' : 'All comparisons'} held, so the steps after “then” were done.`
        : `${isOne ? 'The' : 'A'} comparison did not hold, so the steps after “else” were done.`
  if (hasChanges(outcome)) {
    const by = isReplayed ? ', by an earlier try' : ''
    return { mark: 'written', sentence: `Written at revision ${revision}${by}.`, next: branch }
  }
  if (repeatOf(txn) === 'freely') return { sentence: `Read at revision ${revision}.`, next: branch }
  return { mark: 'not-written', sentence: 'Nothing was changed.', next: branch }
}

const hasChanges = ({ results }: KvTxnResult): boolean =>
  results.some(
    (result) =>
      result.kind === 'put' ||
      (result.kind === 'delete' && result.deleted > 0) ||
      (result.kind === 'txn' && hasChanges(result)),
  )

function Results({ txn, result }: { readonly txn: KvTxn; readonly result: KvTxnResult }) {
  const operations = result.succeeded ? txn.success : txn.failure
  if (operations.length === 0) return null
  return (
    <ol class="txn-results">
      {operations.map((operation, at) => {
        const each = result.results[at]
        return (
          <li key={at}>{each !== undefined && <OperationResult operation={operation} result={each} />}</li>
        )
      })}
    </ol>
  )
}

interface OperationResultProps {
  readonly operation: KvTxnOperation
  readonly result: KvTxnOperationResult
}

function OperationResult({ operation, result }: OperationResultProps) {
  if (operation.kind === 'put' && result.kind === 'put')
    return (
      <>
        <p>
          Wrote <KeyLink bytes={operation.key} />: version {formatCount(result.version)}, created at revision{' '}
          {formatCount(result.createRevision)}.{result.prev === null && ' It did not exist before.'}
        </p>
        {result.prev !== undefined && result.prev !== null && <Records records={[result.prev]} before />}
      </>
    )
  if (operation.kind === 'delete' && result.kind === 'delete')
    return (
      <>
        <p>
          Deleted {plural(result.deleted, 'key')}: <WordsLine words={describePlace(operation.where)} />.
        </p>
        {result.prev !== undefined && <Records records={result.prev} before />}
      </>
    )
  if (operation.kind === 'get' && result.kind === 'get')
    return (
      <>
        <p>
          Read <WordsLine words={describePlace(operation.where)} />: {describeFound(result.found)}.
        </p>
        {result.found !== undefined && <Records records={result.found.records} />}
      </>
    )
  if (operation.kind === 'txn' && result.kind === 'txn')
    return (
      <>
        <p>Ran an inner transaction: {result.succeeded ? 'its “then”' : 'its “else”'}.</p>
        <Results txn={operation.txn} result={result} />
      </>
    )
  return null
}

type Found = Extract<KvTxnOperationResult, { readonly kind: 'get' }>['found']

function describeFound(found: Found): string {
  if (found === undefined) return 'what an earlier try has read is not kept'
  const { records, more, count } = found
  if (count === undefined) return `${plural(records.length, 'record')}${more ? ', and there are more' : ''}`
  return records.length === count
    ? plural(count, 'record')
    : `${formatCount(records.length)} of ${plural(count, 'record')}`
}

/** Limit on the records that are shown of one operation. */
const RECORDS_SHOWN = 100

function Records({
  records,
  before = false,
}: {
  readonly records: readonly KeyRow[]
  readonly before?: boolean
}) {
  if (records.length === 0) return null
  const left = records.length - RECORDS_SHOWN
  return (
    <>
      <Table
        caption={before ? 'What was there before' : 'Records'}
        rows={records.slice(0, RECORDS_SHOWN)}
        rowKey={({ key }) => key.join()}
        columns={[
          {
            head: before ? 'Key before' : 'Key',
            cell: ({ key, modRevision }) => (
              <span class="txn-key">
                <KeyLink bytes={key} revision={before ? modRevision : undefined} />
              </span>
            ),
          },
          {
            head: 'Value',
            isWide: true,
            cell: ({ value }) => (
              <span class="mono">
                <BytesText bytes={value} max={160} />
              </span>
            ),
          },
          { head: 'Version', isNumber: true, cell: ({ version }) => formatCount(version) },
          { head: 'Revision', isNumber: true, cell: ({ modRevision }) => formatCount(modRevision) },
        ]}
      />
      {left > 0 && <p class="dim">and {plural(left, 'record')} more</p>}
    </>
  )
}

function KeyLink({
  bytes,
  revision,
}: {
  readonly bytes: Uint8Array
  readonly revision?: number | undefined
}) {
  return (
    <a class="mono" href={keysHref({ key: bytes, revision })}>
      <BytesText bytes={bytes} max={120} />
    </a>
  )
}
