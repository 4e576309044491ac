// A dialog over the page, with the element of HTML: Escape closes it, and the focus stays within it.

import type { ComponentChildren } from 'preact'
import { useEffect, useId, useRef, useState } from 'preact/hooks'
import { Button } from './button.tsx'
import './dialog.css'
import { TextField } from './field.tsx'
import { Notice } from './notice.tsx'

interface DialogProps {
  readonly title: string
  readonly onClose: () => void
  readonly children: ComponentChildren
  readonly isWide?: boolean
  /** A change is in flight: the dialog stays open until it can say what became of it. */
  readonly isBusy?: boolean
}

export function Dialog({ title, onClose, children, isWide = false, isBusy = false }: DialogProps) {
  const [isHeld, setHeld] = useState(false)
  const element = useRef<HTMLDialogElement>(null)
  // A click whose button went down inside, as when text is selected, does not close: its target is the dialog too.
  const isOutside = useRef(false)
  const id = useId()
  useEffect(() => element.current?.showModal(), [])
  const hold = (event: Event): void => {
    event.preventDefault()
    setHeld(true)
  }
  useEffect(() => {
    if (!isBusy) return
    // A browser closes a dialog at a second Escape without an event that can be refused, except that of the key. The
    // focus may be outside: the button that was pressed is disabled now.
    const onKeyDown = (event: KeyboardEvent): void => {
      if (event.key === 'Escape') hold(event)
    }
    document.addEventListener('keydown', onKeyDown)
    return () => {
      document.removeEventListener('keydown', onKeyDown)
      setHeld(false)
    }
  }, [isBusy])
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes it as well.
    <dialog
      ref={element}
      class={isWide ? 'dialog dialog-wide' : 'dialog'}
      aria-labelledby={id}
      onClose={onClose}
      onCancel={(event) => isBusy && hold(event)}
      onPointerDown={({ target, currentTarget }) => {
        isOutside.current = target === currentTarget
      }}
      onClick={(event) => {
        const { target, currentTarget } = event
        if (!isOutside.current || target !== currentTarget) return
        if (isBusy) hold(event)
        else currentTarget.close()
      }}
    >
      <div class="dialog-body">
        <h2 id={id}>{title}</h2>
        {children}
        {isHeld && (
          <p class="dim" role="status">
            The change is on its way. This dialog stays until it is known what became of it.
          </p>
        )}
      </div>
    </dialog>
  )
}

interface ConfirmationProps {
  readonly title: string
  /** Sentences about what it does, what it needs, and what it risks. */
  readonly children: ComponentChildren
  /** The word on the button. */
  readonly action: string
  /** `primary`: it neither destroys nor interrupts. */
  readonly kind?: 'danger' | 'primary'
  /** A text that the user must type, for what cannot be undone. */
  readonly typed?: string | undefined
  /** Rejects with a sentence that the dialog shows. */
  readonly onConfirm: () => Promise<void>
  readonly onClose: () => void
}

/** Asks before a change, with what it needs and what it risks. */
export function Confirmation(props: ConfirmationProps) {
  const { title, children, action, kind = 'danger', typed, onConfirm, onClose } = props
  const [text, setText] = useState('')
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<string>()
  const confirm = async (): Promise<void> => {
    setBusy(true)
    setError(undefined)
    try {
      await onConfirm()
      onClose()
    } catch (cause) {
      setError(cause instanceof Error ? cause.message : String(cause))
    } finally {
      setBusy(false)
    }
  }
  return (
    <Dialog title={title} onClose={onClose} isBusy={isBusy}>
      <form
        class="dialog-form"
        onSubmit={(event) => {
          event.preventDefault()
          void confirm()
        }}
      >
        <div class="dialog-text">{children}</div>
        {typed !== undefined && (
          <TextField label={`Type ${typed} to confirm`} value={text} onInput={setText} isMono />
        )}
        {error !== undefined && <Notice kind="problem">{error}</Notice>}
        <div class="dialog-actions">
          <Button onClick={onClose} disabled={isBusy}>
            Cancel
          </Button>
          <Button kind={kind} type="submit" disabled={isBusy || (typed !== undefined && text !== typed)}>
            {isBusy ? 'One moment …' : action}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
