import type { Page } from './types.js';

/** The largest page that the server gives: fewest requests. */
const SIZE = 100;

/** The items of all pages, fetched as they are needed. What is added or removed meanwhile may shift items between pages. */
export async function* iterate<Item>(
  fetchPage: (choice: { page: number; size: number }) => Promise<Page<Item>>,
): AsyncGenerator<Item, void, undefined> {
  for (let page = 1; ; page++) {
    const { items, pages } = await fetchPage({ page, size: SIZE });
    yield* items;
    if (page >= pages || items.length === 0) return;
  }
}
