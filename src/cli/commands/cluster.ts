// kv cluster …: the local cluster; its commands are in ../cluster/.

export { clusterCommand as command } from '../cluster/commands.ts'
