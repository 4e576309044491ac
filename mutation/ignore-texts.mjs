// A plugin of Stryker: texts for people are not mutated, since no test should spell them out. That is what an error is
// made with, what an assertion says, and what a logger is given.

import { declareValuePlugin, PluginKind } from '@stryker-mutator/api/plugin'

export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, 'texts', {
    shouldIgnore(path) {
      const { node, parentPath } = path
      if (node.type !== 'StringLiteral' && node.type !== 'TemplateLiteral') return undefined
      return isForPeople(parentPath?.node) ? 'a text for people' : undefined
    },
  }),
]

const LOGGING = ['debug', 'info', 'warn', 'error']

function isForPeople(parent) {
  if (parent?.type === 'NewExpression') return /(Error|Damage)$/.test(parent.callee.name ?? '')
  if (parent?.type !== 'CallExpression') return false
  const { callee } = parent
  if (callee.type === 'Identifier') return callee.name === 'invariant'
  return callee.type === 'MemberExpression' && LOGGING.includes(callee.property.name)
}
