import type { ComponentChildren } from 'preact'
import './button.css'

interface ButtonProps {
  readonly children: ComponentChildren
  readonly onClick?: (() => void) | undefined
  /** `primary`: what most people come for, once a view. `danger`: what destroys something. */
  readonly kind?: 'plain' | 'primary' | 'danger' | 'quiet'
  readonly type?: 'button' | 'submit'
  readonly disabled?: boolean | undefined
  /** Why it cannot be used, or what it does. */
  readonly title?: string | undefined
  readonly label?: string | undefined
  readonly pressed?: boolean | undefined
}

export function Button({
  children,
  onClick,
  kind = 'plain',
  type = 'button',
  disabled,
  title,
  label,
  pressed,
}: ButtonProps) {
  const named = {
    ...(label === undefined ? undefined : { 'aria-label': label }),
    ...(pressed === undefined ? undefined : { 'aria-pressed': pressed }),
  }
  return (
    <button
      type={type}
      class={`button button-${kind}`}
      disabled={disabled}
      title={title}
      onClick={onClick}
      {...named}
    >
      {children}
    </button>
  )
}
