// The stores as a table: a row for each node, a column for each key.

import type { StoredKeyView, StoredRowView } from '../../../jepsen-lite/lab/fold-views.ts'
import { Mark } from '../design/mark.tsx'
import { plural } from '../design/numbers.ts'
import { client, nodes } from './lab-state.ts'
import { roleOf } from './node-states.ts'
import { cellText, rowText } from './store-cells.ts'
import './stores.css'

export function Stores() {
  const stores = client.view.value?.stores
  if (stores === undefined || stores.keys.length === 0)
    return <p class="dim">No node has applied a write yet.</p>
  const { keys, newest, more } = stores
  const shown = new Map(nodes.value.map((node) => [node.name, node]))
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls it, where it is wider than the screen. */}
      <section class="stores-frame" tabIndex={0} aria-label="Stores of the nodes">
        <table class="stores">
          <caption class="visually-hidden">A row for each node, a column for each key</caption>
          <thead>
            <tr>
              <th scope="col">
                <span class="visually-hidden">Node</span>
              </th>
              {keys.map((key) => (
                <th key={key} scope="col">
                  {key}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {stores.nodes.map(({ name, revision, cells }) => {
              const node = shown.get(name)
              return (
                node && (
                  <tr key={name}>
                    <th scope="row">
                      <Mark of={roleOf(node)} text={null} /> {name}
                      <span class="stores-revision">revision {revision}</span>
                    </th>
                    {cells.map((cell, at) => (
                      <td key={keys[at]}>
                        <Cell cell={cell} newest={newest[at]} />
                      </td>
                    ))}
                  </tr>
                )
              )
            })}
          </tbody>
        </table>
      </section>
      <p class="stores-legend">
        <Mark of="lagging" text="behind" /> Another node has applied a newer change of this key. A stale read
        here misses it.
        {more > 0 && ` ${plural(more, 'more key')} not shown.`}
      </p>
    </>
  )
}

interface CellProps {
  readonly cell: StoredKeyView
  readonly newest: StoredRowView | undefined
}

function Cell({ cell, newest }: CellProps) {
  const { row, isBehind } = cell
  return (
    <span class={isBehind ? 'stored stored-behind' : 'stored'} title={cellText(cell, newest)}>
      <span class={row === undefined ? 'stored-value stored-none' : 'stored-value'}>{rowText(row)}</span>
      <span class="stored-revision">
        {row !== undefined && `@${row.modRevision}`}
        {row?.lease !== undefined && ' leased'}
        {isBehind && <Mark of="lagging" text="behind" />}
      </span>
    </span>
  )
}
