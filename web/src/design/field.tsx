// Fields of forms. Each has a label, may have a hint, and shows what is wrong with it under it.

import type { ComponentChildren } from 'preact'
import { useId } from 'preact/hooks'
import './field.css'

interface FieldProps {
  readonly label: string
  /** The label is for screen readers only: what stands around the field says it to the others. */
  readonly isLabelHidden?: boolean
  readonly hint?: ComponentChildren
  readonly error?: string | undefined
}

interface TextFieldProps extends FieldProps {
  readonly value: string
  readonly onInput: (value: string) => void
  readonly placeholder?: string
  readonly type?: 'text' | 'password' | 'search'
  readonly isMono?: boolean
  readonly isRequired?: boolean
  readonly disabled?: boolean
  readonly autoComplete?: string
}

export function TextField(props: TextFieldProps) {
  const { value, onInput, placeholder, type = 'text', isMono = false, isRequired = false, disabled } = props
  const { autoComplete = 'off' } = props
  const id = useId()
  return (
    <Frame id={id} {...props}>
      <input
        id={id}
        class={isMono ? 'input mono' : 'input'}
        // `text`, or a type with the same attributes.
        type={type as 'text'}
        value={value}
        placeholder={placeholder}
        required={isRequired}
        disabled={disabled}
        autocomplete={autoComplete}
        spellcheck={false}
        {...describe(id, props)}
        onInput={({ currentTarget }) => onInput(currentTarget.value)}
      />
    </Frame>
  )
}

interface TextAreaProps extends FieldProps {
  readonly value: string
  readonly onInput: (value: string) => void
  readonly rows?: number
  readonly isReadOnly?: boolean
}

export function TextArea(props: TextAreaProps) {
  const { value, onInput, rows = 6, isReadOnly = false } = props
  const id = useId()
  return (
    <Frame id={id} {...props}>
      <textarea
        id={id}
        class="input mono"
        rows={rows}
        value={value}
        readOnly={isReadOnly}
        spellcheck={false}
        {...describe(id, props)}
        onInput={({ currentTarget }) => onInput(currentTarget.value)}
      />
    </Frame>
  )
}

interface SelectProps<T extends string> extends FieldProps {
  readonly value: T
  readonly options: readonly { readonly value: T; readonly text: string }[]
  readonly onChange: (value: T) => void
}

export function Select<T extends string>(props: SelectProps<T>) {
  const { value, options, onChange } = props
  const id = useId()
  return (
    <Frame id={id} {...props}>
      <select
        id={id}
        class="input"
        value={value}
        {...describe(id, props)}
        onChange={({ currentTarget }) => {
          const chosen = options.find((option) => option.value === currentTarget.value)
          if (chosen) onChange(chosen.value)
        }}
      >
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.text}
          </option>
        ))}
      </select>
    </Frame>
  )
}

interface CheckboxProps {
  readonly label: ComponentChildren
  readonly checked: boolean
  readonly onChange: (checked: boolean) => void
  readonly disabled?: boolean
}

export function Checkbox({ label, checked, onChange, disabled }: CheckboxProps) {
  return (
    <label class="checkbox">
      <input
        type="checkbox"
        checked={checked}
        disabled={disabled}
        onChange={({ currentTarget }) => onChange(currentTarget.checked)}
      />
      {label}
    </label>
  )
}

function Frame({
  id,
  label,
  isLabelHidden = false,
  hint,
  error,
  children,
}: FieldProps & { readonly id: string; readonly children: ComponentChildren }) {
  return (
    <div class="field">
      <label for={id} class={isLabelHidden ? 'visually-hidden' : 'field-label'}>
        {label}
      </label>
      {children}
      {hint !== undefined && (
        <p id={`${id}-hint`} class="field-hint">
          {hint}
        </p>
      )}
      {error !== undefined && (
        <p id={`${id}-error`} class="field-error" role="alert">
          {error}
        </p>
      )}
    </div>
  )
}

function describe(id: string, { hint, error }: FieldProps) {
  const ids = [hint === undefined ? '' : `${id}-hint`, error === undefined ? '' : `${id}-error`].filter(
    Boolean,
  )
  return {
    ...(ids.length === 0 ? undefined : { 'aria-describedby': ids.join(' ') }),
    ...(error === undefined ? undefined : { 'aria-invalid': true as const }),
  }
}
