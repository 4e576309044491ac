import type { ComponentChildren } from 'preact'
import './figure.css'

interface FigureProps {
  readonly label: string
  /** undefined: not known yet. */
  readonly value: ComponentChildren | undefined
  readonly detail?: ComponentChildren
}

/** A number that people look for, with its name over it. */
export function Figure({ label, value, detail }: FigureProps) {
  return (
    <div class="figure">
      <dt>{label}</dt>
      <dd class="figure-value">{value ?? '–'}</dd>
      {detail !== undefined && <dd class="figure-detail">{detail}</dd>}
    </div>
  )
}

export function Figures({ children }: { readonly children: ComponentChildren }) {
  return <dl class="figures">{children}</dl>
}
