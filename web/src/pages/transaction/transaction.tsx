// A transaction as the JSON of `POST /v1/txn`: checked while it is typed, said in words, run, with its results.

import { useEffect, useRef, useState } from 'preact/hooks'
import type { KvTxn } from '../../../../src/operations/forms/transactions.ts'
import { Button } from '../../design/button.tsx'
import { SafeText } from '../../design/bytes-text.tsx'
import { CodeArea, goToIndex } from '../../design/code-area.tsx'
import { CopyButton } from '../../design/copy-button.tsx'
import { Confirmation } from '../../design/dialog.tsx'
import { plural } from '../../design/numbers.ts'
import { PageFrame } from '../../design/page-frame.tsx'
import { href, navigate, route } from '../../route.ts'
import { layOutDocument, parseDocument } from '../keys/json-text.ts'
import { send, sent, setText, text } from './draft.ts'
import { TEMPLATES } from './templates.ts'
import './transaction.css'
import { type CheckedText, checkText } from './txn-check.ts'
import { OutlineView, WordsLine } from './txn-outline.tsx'
import { TxnResultView } from './txn-result.tsx'
import { findDeletions, type Outline, outlineTxn } from './txn-words.ts'

export function Page() {
  const checked = useChecked(text.value)
  /** The text before it was replaced by another one. */
  const [replaced, setReplaced] = useState<string>()
  /** A transaction that deletes, until the user has confirmed it. */
  const [asked, setAsked] = useState<KvTxn>()
  const result = useRef<HTMLElement>(null)
  const replace = (next: string): void => {
    const present = text.peek()
    if (next === present) return
    setReplaced(
      present.trim() === '' || TEMPLATES.some((each) => each.text === present) ? undefined : present,
    )
    setText(next)
  }
  const linked = route.value.query.get('text')
  useEffect(() => {
    if (linked === null) return
    replace(linked)
    navigate(href('transaction'), { replace: true })
  }, [linked])
  const isBusy = sent.value !== undefined && sent.value.answer === undefined
  const start = (txn: KvTxn): void => {
    void send(txn).then(() => result.current?.scrollIntoView({ block: 'nearest' }))
  }
  const run = (): void => {
    const now = checkText(text.peek())
    if (now.kind !== 'valid' || isBusy) return
    if (findDeletions(now.txn).length > 0) setAsked(now.txn)
    else start(now.txn)
  }
  return (
    <PageFrame
      title="Transaction"
      actions={
        <>
          {text.value !== '' && text.value.length <= LINKED_MAX && (
            <CopyButton
              text={() =>
                `${location.href.replace(/#.*$/, '')}${href('transaction', '', { text: text.peek() })}`
              }
              what="a link to this text"
            >
              Copy link
            </CopyButton>
          )}
          <Button
            kind="primary"
            disabled={checked.kind !== 'valid' || isBusy}
            onClick={run}
            title="Ctrl + Enter"
          >
            {isBusy ? 'One moment …' : 'Run'}
          </Button>
        </>
      }
    >
      <div class="txn">
        <Editor checked={checked} replaced={replaced} onReplace={replace} onRun={run} />
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls it, where it is higher than the text. */}
        <section class="txn-side" aria-labelledby="txn-side" tabIndex={0}>
          {checked.kind === 'empty' ? <Examples onChoose={replace} /> : <Meaning checked={checked} />}
        </section>
      </div>
      {sent.value !== undefined && (
        <section ref={result} aria-labelledby="txn-result">
          <TxnResultView sent={sent.value} isOld={sent.value.text !== text.value} />
        </section>
      )}
      {asked !== undefined && (
        <DeletionQuestion txn={asked} onConfirm={() => start(asked)} onClose={() => setAsked(undefined)} />
      )}
    </PageFrame>
  )
}

/** Characters of the longest text that a link can have. */
const LINKED_MAX = 16_384

/** The pause in typing after which the text is checked. */
const PAUSE_MS = 150

function useChecked(present: string): CheckedText {
  const [checked, setChecked] = useState(() => checkText(present))
  const isFirst = useRef(true)
  useEffect(() => {
    if (isFirst.current) {
      isFirst.current = false
      return
    }
    const timer = setTimeout(() => setChecked(checkText(present)), PAUSE_MS)
    return () => clearTimeout(timer)
  }, [present])
  return checked
}

interface EditorProps {
  readonly checked: CheckedText
  readonly replaced: string | undefined
  readonly onReplace: (text: string) => void
  readonly onRun: () => void
}

function Editor({ checked, replaced, onReplace, onRun }: EditorProps) {
  const editor = useRef<HTMLElement>(null)
  const present = text.value
  const goToFault = (index: number): void => {
    const area = editor.current?.querySelector('textarea')
    if (area) goToIndex(area, index)
  }
  const format = (): void => {
    if (parseDocument(present) !== undefined) onReplace(layOutDocument(present))
  }
  return (
    <section
      ref={editor}
      class="txn-editor"
      aria-label="Text"
      onKeyDown={(event) => {
        if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return
        event.preventDefault()
        onRun()
      }}
    >
      <CodeArea
        label="Transaction in JSON"
        value={present}
        onInput={setText}
        fault={checked.kind === 'fault' ? checked.index : undefined}
        describedBy="txn-check"
        placeholder={PLACEHOLDER}
      />
      <div class="txn-check">
        <p id="txn-check" role="status">
          {checked.kind === 'fault' ? (
            <>
              <button type="button" class="txn-position" onClick={() => goToFault(checked.index)}>
                {capitalize(checked.position)}
              </button>
              : <SafeText text={checked.message} />
            </>
          ) : checked.kind === 'valid' ? (
            <span class="dim">The text has no fault.</span>
          ) : (
            <span class="dim">The same JSON as in the body of POST /v1/txn.</span>
          )}
        </p>
        <div class="txn-tools">
          {replaced !== undefined && replaced !== present && (
            <Button kind="quiet" onClick={() => onReplace(replaced)}>
              Back to my text
            </Button>
          )}
          {present !== '' && (
            <>
              <Button kind="quiet" disabled={checked.kind === 'fault' && !checked.isJson} onClick={format}>
                Format
              </Button>
              <Button kind="quiet" onClick={() => onReplace('')}>
                Clear
              </Button>
            </>
          )}
        </div>
      </div>
    </section>
  )
}

const PLACEHOLDER = '{\n  "compare": [],\n  "success": [],\n  "failure": []\n}'

function Examples({ onChoose }: { readonly onChoose: (text: string) => void }) {
  return (
    <>
      <h2 id="txn-side">Begin with an example</h2>
      <p class="dim">
        If all comparisons hold, the operations of “success” are done, else those of “failure”: all of them in
        one step, or none.
      </p>
      <ul class="txn-examples">
        {TEMPLATES.map(({ name, about, text: example }) => (
          <li key={name}>
            <button type="button" onClick={() => onChoose(example)}>
              <strong>{name}</strong>
              <span>{about}</span>
            </button>
          </li>
        ))}
      </ul>
    </>
  )
}

/** Says what the text will do. While it has a fault, the meaning before stays, so that the page is calm. */
function Meaning({ checked }: { readonly checked: CheckedText }) {
  const last = useRef<Outline | undefined>(undefined)
  if (checked.kind === 'valid') last.current = outlineTxn(checked.txn)
  return (
    <>
      <h2 id="txn-side">What it will do</h2>
      {checked.kind === 'fault' && (
        <p class="dim">
          {last.current === undefined
            ? 'It stands here when the text has no fault.'
            : 'As of the last text without a fault:'}
        </p>
      )}
      {last.current !== undefined && (
        <div class={checked.kind === 'fault' ? 'txn-meaning dim' : 'txn-meaning'}>
          <OutlineView outline={last.current} />
        </div>
      )}
    </>
  )
}

/** Deletions that are named one by one. */
const NAMED_MAX = 10

interface DeletionQuestionProps {
  readonly txn: KvTxn
  readonly onConfirm: () => void
  readonly onClose: () => void
}

function DeletionQuestion({ txn, onConfirm, onClose }: DeletionQuestionProps) {
  const places = findDeletions(txn)
  return (
    <Confirmation
      title="Run a transaction that deletes?"
      action="Run"
      onConfirm={async () => onConfirm()}
      onClose={onClose}
    >
      <p>If its comparisons say so, it deletes:</p>
      <ul class="txn-places">
        {places.slice(0, NAMED_MAX).map((words, at) => (
          <li key={at}>
            <WordsLine words={words} />
          </li>
        ))}
        {places.length > NAMED_MAX && <li>and {plural(places.length - NAMED_MAX, 'place')} more</li>}
      </ul>
      <p>The history of the keys stays until it is compacted.</p>
    </Confirmation>
  )
}

const capitalize = (sentence: string): string => sentence.charAt(0).toUpperCase() + sentence.slice(1)
