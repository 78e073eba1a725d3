/** One server for the whole test run; files make databases of their own on it. */
import type { TestProject } from 'vitest/node';
import { startCluster } from './cluster.ts';

declare module 'vitest' {
  interface ProvidedContext {
    cluster: { socket: string; port: number; binDirectory: string };
  }
}

export default function setup(project: TestProject) {
  const cluster = startCluster({ keepTemplate: true });
  project.provide('cluster', {
    socket: cluster.socket,
    port: cluster.port,
    binDirectory: cluster.binDirectory,
  });
  return () => cluster.remove();
}
