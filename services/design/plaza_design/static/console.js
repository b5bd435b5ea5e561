// Optional. Without it forms are sent as browsers send them, a run's page refreshes itself, and a file is chosen by its button.
const fill = (pattern, values) => pattern.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const size = (bytes) => {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let at = 0;
  while (bytes >= 1000 && at < units.length - 1) {
    bytes /= 1000;
    at += 1;
  }
  return `${bytes.toFixed(at && bytes < 100 ? 1 : 0)} ${units[at]}`;
};

// On a narrow screen the menu is a line that scrolls: to where the reader is.
const menu = document.querySelector('.rail');
const place = menu?.querySelector('[aria-current]');
if (place) menu.scrollLeft += place.getBoundingClientRect().left - menu.clientWidth / 2 + place.offsetWidth / 2;

// A run under way: what its events say is put in place.
const told = document.querySelector('[data-run]');
if (told) {
  const events = new EventSource(told.dataset.run);
  events.addEventListener('message', (e) => {
    const now = JSON.parse(e.data);
    told.querySelector('progress').value = now.value;
    for (const place of told.querySelectorAll('[data-say]')) {
      if (place.textContent !== now[place.dataset.say]) place.textContent = now[place.dataset.say];
    }
    if (now.ended) {
      events.close();
      location.reload();
    }
  });
}

// Parts of a page that wait for something: looked at again until it is there, without taking the reader's place.
const waiting = () => document.querySelectorAll('section[data-refresh]');
const lookAgain = async () => {
  const answer = await fetch(waiting()[0].dataset.refresh);
  if (answer.ok && !answer.redirected) {
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    for (const part of waiting()) {
      const now = page.getElementById(part.id);
      if (now && now.innerHTML !== part.innerHTML) part.replaceWith(document.adoptNode(now));
    }
  }
  if (waiting().length) setTimeout(lookAgain, 2000);
};
if (waiting().length) setTimeout(lookAgain, 2000);

// A file: dropped anywhere on the page, named, sent with its progress.
const zoneOf = () => document.querySelector('[data-drop]');
const named = (zone) => {
  const [file] = zone.querySelector('input[type="file"]').files;
  const place = zone.querySelector('[data-chosen]');
  if (place) place.textContent = file ? fill(place.dataset.chosen, { file: file.name, size: size(file.size) }) : '';
};
let inside = 0;
const over = (e, more) => {
  const zone = zoneOf();
  if (!zone || !e.dataTransfer?.types.includes('Files')) return;
  e.preventDefault();
  inside = Math.max(inside + more, 0);
  zone.classList.toggle('is-over', inside > 0);
};
document.addEventListener('dragenter', (e) => over(e, 1));
document.addEventListener('dragleave', (e) => over(e, -1));
document.addEventListener('dragover', (e) => over(e, 0));
document.addEventListener('drop', (e) => {
  const zone = zoneOf();
  if (!zone || !e.dataTransfer.files.length) return;
  e.preventDefault();
  inside = 0;
  zone.classList.remove('is-over');
  zone.querySelector('input[type="file"]').files = e.dataTransfer.files;
  named(zone);
  zone.closest('form').querySelector('button').focus();
});
document.addEventListener('change', (e) => {
  if (e.target.type === 'file' && e.target.closest('[data-drop]')) named(e.target.closest('[data-drop]'));
  if (e.target.matches('[data-at-once]')) e.target.form.requestSubmit();
});

const answered = (text) => {
  // A refusal is a page: its matter takes the place of this page's.
  const main = new DOMParser().parseFromString(text, 'text/html').querySelector('main');
  if (!main) return false;
  document.querySelector('main').replaceWith(document.adoptNode(main));
  const alert = main.querySelector('[role="alert"], .alert') ?? main;
  alert.tabIndex = -1;
  alert.focus();
  alert.scrollIntoView({ block: 'center' });
  return true;
};
const send = (form, button) => {
  const box = form.querySelector('.progress');
  const [label, bar] = [box.querySelector('label'), box.querySelector('progress')];
  const began = performance.now();
  const request = new XMLHttpRequest();
  const failed = () => {
    button.disabled = false;
    label.textContent = box.dataset.failed;
  };
  request.upload.addEventListener('progress', (e) => {
    const rate = e.loaded / Math.max((performance.now() - began) / 1000, 0.1);
    bar.value = (e.loaded / e.total) * 1000;
    const left = Math.ceil((e.total - e.loaded) / Math.max(rate, 1));
    const sent = fill(box.dataset.sending, { done: size(e.loaded), total: size(e.total), rate: size(rate) });
    label.textContent = left ? `${sent} ${fill(box.dataset.remaining, { n: left })}` : sent;
  });
  request.upload.addEventListener('load', () => {
    label.textContent = box.dataset.whole;
  });
  request.addEventListener('load', () => {
    if (request.status < 400 && request.responseURL) location.assign(request.responseURL);
    else if (!answered(request.responseText)) failed();
  });
  request.addEventListener('error', failed);
  request.open('POST', form.action);
  request.send(new FormData(form));
  button.disabled = true;
  box.hidden = false;
};
document.addEventListener('submit', (e) => {
  const form = e.target;
  if (!form.matches('form[data-upload]')) return;
  const [file] = form.querySelector('input[type="file"]').files;
  // Beside a table with corrections a refusal must not take the page away.
  if (!file || document.querySelector('[data-repair]')) return;
  e.preventDefault();
  send(form, e.submitter ?? form.querySelector('button'));
});

// The table of refused rows, with the habits of a spreadsheet.
const repair = document.querySelector('[data-repair]');
if (repair) {
  const button = repair.querySelector('[data-changed]');
  const plain = button?.textContent;
  const changed = (cell) => cell.value !== cell.defaultValue || cell.classList.contains('was-changed');
  const count = () => {
    const rows = new Set();
    for (const cell of repair.querySelectorAll('.cell')) {
      cell.classList.toggle('is-changed', changed(cell));
      if (changed(cell)) rows.add(cell.closest('tr'));
    }
    if (button) button.textContent = rows.size ? fill(button.dataset.changed, { n: rows.size }) : plain;
  };
  // What a refused correction left in the cells is a change too.
  for (const cell of repair.querySelectorAll('.cell.is-changed')) cell.classList.add('was-changed');
  count();
  repair.addEventListener('input', count);
  const beside = (cell, rows, columns) => {
    const row = cell.closest('tr');
    const all = [...row.parentElement.rows];
    const cells = [...row.querySelectorAll('.cell')];
    return all[all.indexOf(row) + rows]?.querySelectorAll('.cell')[cells.indexOf(cell) + columns];
  };
  repair.addEventListener('keydown', (e) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[e.key];
    if (!step || !e.target.matches('input.cell')) return;
    const next = beside(e.target, step, 0);
    if (!next) return;
    e.preventDefault();
    next.focus();
    next.select?.();
  });
  repair.addEventListener('paste', (e) => {
    const text = e.clipboardData.getData('text/plain').replace(/\r\n?/g, '\n').replace(/\n$/, '');
    if (!e.target.matches('input.cell') || !/[\t\n]/.test(text)) return;
    e.preventDefault();
    text.split('\n').forEach((line, down) =>
      line.split('\t').forEach((value, right) => {
        const cell = beside(e.target, down, right);
        if (cell) cell.value = value;
      }),
    );
    count();
  });
  // The first cell at fault is where the work begins.
  const first = repair.querySelector('.cell[aria-invalid]');
  const box = repair.querySelector('.tablebox');
  if (first && matchMedia('(min-width: 48rem)').matches && box.scrollWidth > box.clientWidth) box.scrollLeft = first.closest('td').offsetLeft - box.clientWidth * 0.6;
}
