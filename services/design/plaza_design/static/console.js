// Optional. Without it a run's page refreshes itself, and a file is chosen by its button.
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
for (const zone of document.querySelectorAll('[data-drop]')) {
  const input = zone.querySelector('input[type="file"]');
  for (const name of ['dragenter', 'dragover']) {
    zone.addEventListener(name, (e) => {
      e.preventDefault();
      zone.classList.add('is-over');
    });
  }
  for (const name of ['dragleave', 'drop']) zone.addEventListener(name, () => zone.classList.remove('is-over'));
  zone.addEventListener('drop', (e) => {
    e.preventDefault();
    if (e.dataTransfer.files.length) input.files = e.dataTransfer.files;
  });
}
for (const form of document.querySelectorAll('form[data-upload]')) {
  form.addEventListener('submit', () => {
    const button = form.querySelector('button');
    button.disabled = true;
    button.textContent = form.dataset.upload;
  });
}
