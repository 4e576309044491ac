// Writes a new value, under the condition that the key is unchanged since it was read. If it has changed meanwhile,
// both versions are shown side by side, and the user decides.

import { useEffect, useMemo, useState } from 'preact/hooks'
import { type PutLease, parsePutLease } from '../../../../src/operations/forms/leases.ts'
import type { LeaseId } from '../../../../src/operations/forms/store.ts'
import { type GetResult, get } from '../../../../src/operations/get.ts'
import { put } from '../../../../src/operations/put.ts'
import { nameChange } from '../../cluster/change.ts'
import { describeError, RefusedError, run } from '../../cluster/connection.ts'
import { useChange } from '../../cluster/use-change.ts'
import { Button } from '../../design/button.tsx'
import { BytesText } from '../../design/bytes-text.tsx'
import { Dialog } from '../../design/dialog.tsx'
import { Select, TextArea, TextField } from '../../design/field.tsx'
import { Notice } from '../../design/notice.tsx'
import { formatCount } from '../../design/numbers.ts'
import { Difference } from './difference.tsx'
import { isDocument, isLikeDocument, LAID_OUT_MAX, layOutDocument } from './json-text.ts'
import { createDraft, readDraft } from './value-draft.ts'

interface EditorProps {
  readonly target: Uint8Array
  /** The record as it was read; undefined: there was none. */
  readonly record: GetResult
  readonly onClose: () => void
  readonly onWritten: () => void
}

const NO_VALUE = new Uint8Array()

type LeaseChoice = 'keep' | 'none' | 'attach' | 'ttl'

export function ValueEditor({ target, record, onClose, onWritten }: EditorProps) {
  const [base, setBase] = useState(record)
  const [draft, setDraft] = useState(() => createDraft(record?.value ?? NO_VALUE))
  /** undefined: the user has not touched it, so the key keeps the lease that it has. */
  const [chosenLease, setChosenLease] = useState<LeaseChoice>()
  const leaseChoice = chosenLease ?? (base?.lease === undefined ? 'none' : 'keep')
  const [leaseText, setLeaseText] = useState('')
  const [theirs, setTheirs] = useState<{ readonly record: GetResult }>()
  const [error, setError] = useState<string>()
  const [isBusy, setBusy] = useState(false)
  const change = useChange()
  const { text } = draft
  const isText = draft.form === 'text'
  const bytes = useMemo(() => readDraft(draft), [draft])
  const json = useJsonState(isText ? text : '')
  const setText = (next: string): void => setDraft({ ...draft, text: next })

  const write = async (over: GetResult): Promise<void> => {
    if (bytes === undefined) return
    setBusy(true)
    setError(undefined)
    try {
      await change(put, {
        kind: 'put',
        key: target,
        value: bytes,
        condition:
          over === undefined
            ? { ifMatch: undefined, ifNoneMatch: 'any' }
            : { ifMatch: [over.modRevision], ifNoneMatch: undefined },
        prev: false,
        lease: putLease(chosenLease ?? 'keep', leaseText, over?.lease),
        idempotency: nameChange(),
      })
      onWritten()
      onClose()
    } catch (cause) {
      if (cause instanceof RefusedError && cause.problem.code === 'precondition_failed') await showTheirs()
      else setError(describeError(cause))
    } finally {
      setBusy(false)
    }
  }
  const showTheirs = async (): Promise<void> => {
    try {
      const { result } = await run(get, { kind: 'get', key: target, freshness: {} })
      setTheirs({ record: result })
    } catch (cause) {
      setError(`The key has changed, and its new value could not be read: ${describeError(cause)}`)
    }
  }
  const takeTheirs = (): void => {
    if (theirs === undefined) return
    setBase(theirs.record)
    setDraft(createDraft(theirs.record?.value ?? NO_VALUE))
    setTheirs(undefined)
  }
  return (
    <Dialog
      title={record === undefined ? 'Create the key' : 'Edit the value'}
      onClose={onClose}
      isBusy={isBusy}
      isWide
    >
      <p class="mono">
        <BytesText bytes={target} max={300} />
      </p>
      {theirs === undefined ? (
        <form
          class="dialog-form"
          onSubmit={(event) => {
            event.preventDefault()
            void write(base)
          }}
        >
          <TextArea
            label={isText ? 'Value' : 'Value in hexadecimal'}
            value={text}
            onInput={setText}
            rows={14}
            error={bytes === undefined ? 'Pairs of hexadecimal digits are needed' : undefined}
            hint={json === 'broken' ? 'This begins like JSON, and is none.' : undefined}
          />
          <LeaseFields
            choice={leaseChoice}
            onChoice={setChosenLease}
            text={leaseText}
            onText={setLeaseText}
            present={base?.lease}
          />
          {error !== undefined && <Notice kind="problem">{error}</Notice>}
          <div class="dialog-actions">
            {json === 'document' && text.length <= LAID_OUT_MAX && (
              <Button kind="quiet" onClick={() => setText(layOutDocument(text))}>
                Format JSON
              </Button>
            )}
            <Button onClick={onClose} disabled={isBusy}>
              Cancel
            </Button>
            <Button kind="primary" type="submit" disabled={isBusy || bytes === undefined}>
              {isBusy ? 'One moment …' : 'Write'}
            </Button>
          </div>
          <p class="field-hint">
            {base === undefined
              ? 'It is written only if the key still does not exist.'
              : `It is written only if the key is still as you read it: revision ${formatCount(base.modRevision)}.`}
          </p>
        </form>
      ) : (
        <>
          <Notice kind="warning">
            {theirs.record === undefined
              ? 'Nothing was written: the key was deleted meanwhile.'
              : `Nothing was written: the key has changed meanwhile, at revision ${formatCount(theirs.record.modRevision)}.`}
          </Notice>
          <Difference
            before={theirs.record?.value ?? new Uint8Array()}
            after={bytes ?? new Uint8Array()}
            beforeName="In the store now"
            afterName="Yours"
          />
          {error !== undefined && <Notice kind="problem">{error}</Notice>}
          <div class="dialog-actions">
            <Button onClick={takeTheirs} disabled={isBusy}>
              Edit the version in the store
            </Button>
            <Button
              kind="danger"
              disabled={isBusy}
              onClick={() => {
                setBase(theirs.record)
                setTheirs(undefined)
                void write(theirs.record)
              }}
            >
              Write mine over it
            </Button>
          </div>
        </>
      )}
    </Dialog>
  )
}

interface LeaseFieldsProps {
  readonly choice: LeaseChoice
  readonly onChoice: (choice: LeaseChoice) => void
  readonly text: string
  readonly onText: (text: string) => void
  readonly present: LeaseId | undefined
}

function LeaseFields({ choice, onChoice, text, onText, present }: LeaseFieldsProps) {
  return (
    <div class="lease-fields">
      <Select
        label="Lease"
        value={choice}
        onChange={onChoice}
        options={[
          ...(present === undefined ? [] : [{ value: 'keep' as const, text: `keep ${present}` }]),
          { value: 'none', text: 'none: the key stays until it is deleted' },
          { value: 'ttl', text: 'one of its own, for a time' },
          { value: 'attach', text: 'an existing one' },
        ]}
      />
      {choice === 'ttl' && (
        <TextField label="Time to live" value={text} onInput={onText} placeholder="30s" isRequired />
      )}
      {choice === 'attach' && (
        <TextField label="Id of the lease" value={text} onInput={onText} isMono isRequired />
      )}
    </div>
  )
}

/** Throws `ApiError` for a text that names no lease, or no time. */
function putLease(choice: LeaseChoice, text: string, present: LeaseId | undefined): PutLease | undefined {
  if (choice === 'keep') return present === undefined ? undefined : { id: present }
  if (choice === 'attach') return parsePutLease(text.trim(), undefined)
  return choice === 'ttl' ? parsePutLease(undefined, text.trim()) : undefined
}

/** Characters that are read as JSON with each keystroke, and the pause in typing after which longer texts are. */
const SHORT = 16_384
const PAUSE_MS = 400

type JsonState = 'document' | 'broken' | 'other'

/** Whether the text is JSON. Any text may be written. */
function useJsonState(text: string): JsonState {
  const [settled, setSettled] = useState(text)
  const isShort = text.length <= SHORT
  useEffect(() => {
    if (isShort) return
    const timer = setTimeout(() => setSettled(text), PAUSE_MS)
    return () => clearTimeout(timer)
  }, [text, isShort])
  const read = isShort ? text : settled
  return useMemo(() => {
    if (!isLikeDocument(read)) return 'other'
    return isDocument(read) ? 'document' : 'broken'
  }, [read])
}
