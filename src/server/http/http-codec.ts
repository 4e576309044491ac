// The codec of HTTP: requests become operations, answers become responses. What both mean is decided in `api/`.

import { encodeBackupHead } from '../../operations/backup.ts'
import { ApiError, type KeyRow } from '../../operations/forms/index.ts'
import { encodeUnchanged } from '../../operations/get.ts'
import {
  errorResponse,
  freshnessHeaders,
  jsonResponse,
  type UnencodedResponse,
  type WholeResponse,
} from '../../operations/http/form.ts'
import {
  OPERATIONS,
  type Operation,
  type OperationOf,
  RESULT_FORMS,
  type WholeKind,
} from '../../operations/index.ts'
import { PAGE_START } from '../../operations/range.ts'
import { keysJson, LEASE_END, leaseStart } from '../../operations/show-lease.ts'
import type { AnswerTo, ApiAnswer, OpenAnswer, PageAnswer, RecordsAnswer, RowStream } from '../api/answer.ts'
import type { Api } from '../api/api.ts'
import type { BudgetPart } from '../api/budget.ts'
import type { BodySink, HttpRequest, HttpResponse, PageSlices } from '../connections/messages.ts'
import { watchResponse } from './watch.ts'

/** Decodes a GET of a range. Its records are collected as JSON. Throws `ApiError`. */
export function decodeRange(request: HttpRequest, rowsMax: number): Operation {
  const operation = OPERATIONS.range.http.decode(request, rowsMax)
  if (operation.stream !== true) request.page = new JsonPage(operation.keysOnly === true)
  return operation
}

/** Decodes a DELETE of a key or of a range. Throws `ApiError`. */
export const decodeDelete = (request: HttpRequest): Operation =>
  request.target.keys?.length === 0
    ? OPERATIONS['delete-range'].http.decode(request)
    : OPERATIONS.delete.http.decode(request)

/** Size of the slices of a page. */
const SLICE_CHARS = 128 * 1024

/** The records of a page as JSON. Each full slice becomes bytes at once, so that no page is converted as a whole. */
class JsonPage {
  readonly #keysOnly: boolean
  readonly #slices: Buffer[] = []
  #slice = ''
  #isFirst = true

  constructor(keysOnly: boolean) {
    this.#keysOnly = keysOnly
  }

  get slices(): readonly (string | Buffer)[] {
    return [...this.#slices, this.#slice]
  }

  add(row: KeyRow, bytesMax: number): number {
    const json = OPERATIONS.range.http.encodeRecord(row, this.#keysOnly)
    const bytes = Buffer.byteLength(json)
    if (bytes > bytesMax) return bytes
    this.#slice += this.#isFirst ? json : `,${json}`
    this.#isFirst = false
    if (this.#slice.length >= SLICE_CHARS) {
      this.#slices.push(Buffer.from(this.#slice))
      this.#slice = ''
    }
    return bytes
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers

/** Makes the error that ends a stream. */
type ErrorSource = Pick<Api, 'toApiError'>

/** Encodes the answer to `operation`, which `request` was decoded to. */
export function encode(
  answer: ApiAnswer,
  operation: Operation,
  request: HttpRequest,
  errors: ErrorSource,
): HttpResponse | UnencodedResponse {
  if (answer instanceof ApiError) return errorResponse(answer)
  switch (answer.kind) {
    case 'unchanged':
      return encodeUnchanged(answer.row, answer.head)
    case 'page':
      return request.page === undefined ? countLine(answer) : pageResponse(answer, request.page)
    case 'records':
      return linesResponse(answer, errors)
    case 'lease-keys':
      return leaseResponse(answer, errors)
    case 'backup':
      return backupResponse(answer)
    case 'watch':
      return watchResponse(answer, request)
    default:
      return encodeResult(answer, operation, request)
  }
}

function encodeResult<K extends WholeKind>(
  { kind, result, head }: AnswerTo<K>,
  operation: Operation,
  { headers }: HttpRequest,
): WholeResponse | UnencodedResponse {
  // TypeScript does not see that answer and operation are of one kind.
  return RESULT_FORMS[kind].http.encodeResult(result, head, operation as OperationOf<K>, headers)
}

function pageResponse(page: PageAnswer, { slices }: PageSlices): HttpResponse {
  const { encodeHead, encodePageEnd } = OPERATIONS.range.http
  const body = [PAGE_START, ...slices, encodePageEnd(page, page.head)]
  return { ...encodeHead(page.head, false), body }
}

function countLine({ count = 0, head }: PageAnswer): HttpResponse {
  const { encodeHead, encodeEndLine } = OPERATIONS.range.http
  return { ...encodeHead(head, true), body: encodeEndLine(count, head) }
}

function linesResponse({ rows, keysOnly, head }: RecordsAnswer, errors: ErrorSource): HttpResponse {
  let count = 0
  const text = (slice: readonly KeyRow[]): string => {
    count += slice.length
    return slice.map((row) => OPERATIONS.range.http.encodeRecordLine(row, keysOnly)).join('')
  }
  const failed = (sink: BodySink, error: unknown): void =>
    sink.end(OPERATIONS.range.http.encodeErrorLine(errors.toApiError(error)))
  const end = (): string => OPERATIONS.range.http.encodeEndLine(count, head)
  const writeTo = (sink: BodySink): void => void writeRows(rows, sink, text, end, failed)
  return { ...OPERATIONS.range.http.encodeHead(head, true), body: { writeTo } }
}

/** The end of the file is in the file. Half of it is no backup, and the connection is cut. */
function backupResponse({ file, head }: OpenAnswer<'backup'>): HttpResponse {
  const joined = (pieces: readonly Uint8Array[]): BudgetPart => Buffer.concat(pieces)
  const writeTo = (sink: BodySink): void =>
    void writeRows(
      file,
      sink,
      joined,
      () => '',
      (to) => to.cut(),
    )
  return { ...encodeBackupHead(head), body: { writeTo } }
}

/** Reads each slice when the client has taken the one before. */
async function writeRows<T>(
  rows: RowStream<T>,
  sink: BodySink,
  encoded: (slice: readonly T[]) => BudgetPart,
  end: () => string,
  failed: (sink: BodySink, error: unknown) => void,
): Promise<void> {
  try {
    for (;;) {
      const slice = await rows.next()
      if (slice === undefined) return sink.end(end())
      if (!(await sink.write(encoded(slice)))) return
    }
  } catch (error) {
    failed(sink, error)
  } finally {
    rows.close()
  }
}

function leaseResponse({ lease, keys, head }: OpenAnswer<'show-lease'>, errors: ErrorSource): HttpResponse {
  let before = leaseStart(lease)
  const text = (slice: readonly Uint8Array[]): string => {
    const json = `${before}${keysJson(slice)}`
    before = ','
    return json
  }
  const failed = (sink: BodySink, error: unknown): void => {
    errors.toApiError(error)
    sink.cut()
  }
  const writeTo = (sink: BodySink): void => void writeRows(keys, sink, text, () => LEASE_END, failed)
  return { ...jsonResponse('', freshnessHeaders(head), head.revision), body: { writeTo } }
}
