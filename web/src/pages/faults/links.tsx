import type { ControlledNode, LinkState } from '../../../../src/operations/documents/control.ts'
import type { Act } from './act.ts'

interface LinksProps {
  readonly links: readonly LinkState[]
  readonly nodes: readonly ControlledNode[]
  readonly act: Act
}

/** All links, one for each direction: the sender at the left, the receiver on top. */
export function Links({ links, nodes, act }: LinksProps) {
  const find = (from: string, to: string): LinkState | undefined =>
    links.find((link) => link.from === from && link.to === to)
  return (
    <table class="link-table">
      <caption class="visually-hidden">Links between nodes</caption>
      <thead>
        <tr>
          <td />
          {nodes.map(({ name }) => (
            <th key={name} scope="col">
              to {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {nodes.map(({ name: from }) => (
          <tr key={from}>
            <th scope="row">from {from}</th>
            {nodes.map(({ name: to }) => {
              const link = find(from, to)
              return (
                <td key={to}>
                  {link !== undefined && (
                    <button
                      type="button"
                      class="link-cell"
                      aria-pressed={link.state !== 'open'}
                      aria-label={`${link.state}: from ${from} to ${to}. ${link.state === 'open' ? 'Cut' : 'Join'} it`}
                      onClick={() => toggleLink(link, act)}
                    >
                      {link.state}
                    </button>
                  )}
                </td>
              )
            })}
          </tr>
        ))}
      </tbody>
    </table>
  )
}

/** Cuts a link, or joins it again. */
export function toggleLink({ from, to, state }: LinkState, act: Act): void {
  act(state === 'open' ? 'cut' : 'heal', { from, to, both: false })
}
